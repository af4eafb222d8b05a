"""What is wrong is said in sentences of the table, and all of it at once."""
from __future__ import annotations

import pytest
from personal_avatar.errors import InvalidSettings
from personal_avatar.problems import all_refused, known, problems_of, refused
from personal_avatar.wording import LANGUAGES, table


def test_problems_of_several_forms_are_told_together_with_what_to_do_about_each() -> None:
    def refuse(message: str, hint: str | None = None) -> None:
        raise InvalidSettings(message, hint)

    with pytest.raises(InvalidSettings) as caught:
        all_refused(lambda: refuse("One.", "Do this."), lambda: None, lambda: refuse("Two."), lambda: refuse("Two."))
    assert (caught.value.message, caught.value.hint) == ("One; Two.", f"Do this. {InvalidSettings.default_hint}")
    all_refused(lambda: None)


def test_a_value_with_a_semicolon_does_not_cut_what_is_said_of_it() -> None:
    one = refused("problem.noun.english", name="class_type", got="'a; b'")
    with pytest.raises(InvalidSettings) as caught:
        all_refused(lambda: (_ for _ in ()).throw(one), lambda: (_ for _ in ()).throw(refused("problem.name.length")))
    assert [said.count("must") for said in problems_of(caught.value)] == [1, 1]
    assert caught.value.message.count("; ") == 2


def test_every_problem_is_part_of_a_sentence_and_every_remedy_one_of_its_own() -> None:
    for place in range(len(LANGUAGES)):
        assert not [key for key in known() if table()[key][place].endswith((".", "。"))]
        assert not [key for key in known("remedy") if not table()[key][place].endswith((".", "。"))]
