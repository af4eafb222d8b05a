"""The report of a training: everything that is known in one file and in JSON, and sentences that fit the numbers."""
from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.domain import Likeness
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.pictures import save_picture
from personal_avatar.training.planning.plan import PLANS
from personal_avatar.training.results import advice as advising
from personal_avatar.training.results import report as reporting
from personal_avatar.training.results.advice import RULES, advice
from personal_avatar.training.results.document import Numbers
from personal_avatar.training.results.outcome import codes, likeness_document, note_of
from personal_avatar.training.results.report import choice, write_report
from personal_avatar.ui.texts import LANGUAGES, text
from personal_avatar.wording import megabytes, size

Document = dict[str, Any]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


PLAN = {
    "steps": 300, "resolution_px": 512, "learning_rate": 1e-4, "text_encoder_learning_rate": 0.0, "optimiser": "adamw",
    "prior_weight": 0.0, "unmasked_weight": 1.0, "stop_at": 0.0, "rank": 32,
}
IN_WORDS = {"steps": 300, "learning_rate": 5e-3, "vectors": 4}


def score(step: int, likeness: float, merit: float, following: float = 0.9, faces: float = 1.0) -> Document:
    return {"step": step, "likeness": likeness, "faces_found": faces, "following": following, "merit": merit}


def fine(**changes: Any) -> Document:
    """A training that went well, on the same numbers before, and what differs from it."""
    return {
        "name": "<Linh>", "files": ["/x/linh.safetensors"], "method": "lora", "engine": "diffusers", "base": "v1-5",
        "checkpoint": {"step": 200, "trigger": "sks woman"}, "seconds": 61.0, "peak_memory_gb": 1.5, "file_mb": 3.2,
        "likeness": {"floor": 0.3, "after": 0.55, "ceiling": 0.6, "recovered": 0.833}, "leakage": 0.01,
        "prompt_following": 0.9, "prompt_following_before": 0.9, "diversity": 0.8,
        "measured_on": {"photos": 3, "held_out": True}, "photos": 12, "ceiling": 0.6,
        "untrained": {"likeness": 0.3, "faces_found": 1.0, "following": 0.9},
        "scores": [score(100, 0.4, 0.33), score(200, 0.54, 0.8), score(300, 0.53, 0.77)],
        "plan": dict(PLAN),
        **changes,
    }


def low(**changes: Any) -> Document:
    likeness = {"floor": 0.3, "after": 0.45, "ceiling": 0.6, "recovered": 0.5}
    return fine(likeness=likeness, **changes)


def plan(**changes: Any) -> Document:
    return {**PLAN, **changes}


def unmeasured(**changes: Any) -> Document:
    """A training that was cancelled before its first checkpoint was judged, and kept it."""
    row = {"step": 19, **dict.fromkeys(("likeness", "faces_found", "following", "merit", "leakage")), "pictures": []}
    unknown = dict.fromkeys(("likeness", "leakage", "prompt_following", "prompt_following_before", "diversity"))
    return fine(**unknown, scores=[row], untrained=None, ceiling=None, checkpoint={"step": 19}, **changes)


# -- the files


@pytest.fixture
def complete(tmp_path: Path) -> Document:
    """With pictures and losses, as outcome.py hands it over."""
    told = {"choice": "Step 200 was chosen.", "advice": ["Set <steps> to 600."], "prompt": "<lora:linh:1> sks woman"}
    found = fine(**told, losses=[0.3, None, 0.2, 0.1])
    file = save_picture(np.zeros((32, 32, 3), np.uint8), tmp_path / "a.png")

    def picture(likeness: float | None) -> Document:
        return {"file": str(file), "prompt": "a photo of <sks> woman", "seed": 1000, "likeness": likeness}

    found["scores"] = [{**row, "pictures": [picture(row["likeness"]), picture(None)]} for row in found["scores"]]
    found["untrained"]["pictures"] = [picture(0.31), picture(0.29)]
    return found


def test_a_report_is_one_file_with_curves_and_a_grid_of_pictures(complete: Document, tmp_path: Path) -> None:
    html = write_report(tmp_path, complete).read_text(encoding="utf-8")
    assert "&lt;Linh&gt;" in html and "<Linh>" not in html
    assert html.count("<svg") == 2 * len(LANGUAGES)
    assert html.count("data:image/jpeg;base64,") == 2 + 4 * 2
    assert html.count("<tr") == 1 + 4 and html.count('<tr class="chosen">') == 1
    heads = re.findall(r'<th scope="col">a photo of &lt;sks&gt; woman <small>(.*?)</small></th>', html)
    assert len(heads) == 2 and all("seed 1000" in head for head in heads)
    for part in (
        "83% of the way", "3 photos that were not trained on", "Step 200 was chosen.", "Set &lt;steps&gt; to 600.",
        "Before training", "likeness 0.540", "following 90%", "merit 0.80", "no face", "61 s", "1.5 GB", "3.2 MB",
        "LoRA on v1-5", "&lt;lora:linh:1&gt; sks woman", "/x/linh.safetensors", "learning_rate",
    ):
        assert part in html, part


def test_the_seed_of_a_picture_is_text_on_the_page(complete: Document, tmp_path: Path) -> None:
    for row in (complete["untrained"], *complete["scores"]):
        row["pictures"] = [{**picture, "seed": "<b>7</b>"} for picture in row["pictures"]]
    html = write_report(tmp_path, complete).read_text(encoding="utf-8")
    assert "seed &lt;b&gt;7&lt;/b&gt;" in html and "<b>7</b>" not in html


@pytest.mark.parametrize(("asked", "begins"), [("vi", "vi"), ("zh", "zh"), ("en", "en"), ("xx", "en"), (None, "en")])
def test_a_report_begins_in_the_language_of_whoever_trains(
    complete: Document, tmp_path: Path, asked: str | None, begins: str
) -> None:
    html = write_report(tmp_path, {**complete, **({"language": asked} if asked else {})}).read_text(encoding="utf-8")
    assert html.startswith(f'<!doctype html><html lang="{begins}">')


def test_the_json_holds_what_the_page_shows(complete: Document, tmp_path: Path) -> None:
    write_report(tmp_path, complete)
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == complete


def test_a_cancelled_training_has_a_report_too(complete: Document, tmp_path: Path) -> None:
    unmeasured = {"likeness": None, "leakage": None, "prompt_following": None, "diversity": None}
    html = write_report(tmp_path, {**complete, **unmeasured}).read_text(encoding="utf-8")
    assert "was not measured" in html and "Leakage</dt><dd>0" not in html


def test_a_card_without_room_is_not_told_as_a_cancel(tmp_path: Path) -> None:
    html = write_report(tmp_path, unmeasured(lacked_room=True)).read_text(encoding="utf-8")
    assert "the graphics card had no room for it" in html and "cancelled" not in html
    assert note_of(None, True, lacked_room=True) == text("log.unmeasured", "en")
    assert note_of(None, True) == "The training was cancelled; likeness was not measured."


def test_what_was_never_measured_is_on_no_page(tmp_path: Path) -> None:
    html = write_report(tmp_path, unmeasured(plan={})).read_text(encoding="utf-8")
    assert "was not measured" in html and "Measured against" not in html
    assert not re.search(r"\b(likeness|faces|following|leakage|merit) -?0", html)


def test_a_report_of_next_to_nothing_is_a_page(tmp_path: Path) -> None:
    html = write_report(tmp_path, {"name": "Linh", "scores": [score(3, 0.0, 0.0)]}).read_text(encoding="utf-8")
    assert "Linh" in html and "<table" not in html and "<svg" not in html


@pytest.mark.parametrize(("count", "mb"), [
    (1, 1e-06), (3_072, 0.00307), (98_432, 0.0984), (3_245_678, 3.25), (9_999_999, 10.0), (37_912_345, 37.9),
    (2_132_456_789, 2132.5),
])
def test_the_size_of_a_file_is_never_nothing(count: int, mb: float) -> None:
    assert megabytes(count) == mb
    assert (size(megabytes(count)) == "< 0.1 MB") == (count < 100_000)


# -- the choice


def chosen(document: Document) -> str:
    return " ".join(sentence.text for sentence in choice(document))


def test_the_choice_is_told_with_its_numbers() -> None:
    assert chosen(fine()) == (
        "The checkpoint of step 200 was chosen of 3: on the seeds of the choice it recovered 80% of the likeness,"
        " kept 100% of the untrained checkpoint's obedience to prompts, and moved others by +0.00: a merit of 0.80."
        " The next best, step 300, has a merit of 0.77."
    )


def test_the_choice_says_why_it_is_not_the_most_alike() -> None:
    scores = [score(100, 0.5, 0.6, following=0.81), score(200, 0.6, 0.5, following=0.45)]
    told = chosen(fine(scores=scores, checkpoint={"step": 100}))
    assert "kept 90%" in told
    assert "Step 200 is more alike (likeness 0.60, not 0.50), but follows prompts less well" in told
    assert "prompts 45%, not 81%; leakage +0.00, not +0.00." in told


def test_the_choice_tells_when_others_became_alike_in_one_that_is_more_so() -> None:
    scores = [{**score(100, 0.6, 0.2), "leakage": 0.24}, {**score(200, 0.5, 0.6), "leakage": 0.03}]
    told = chosen(fine(scores=scores, checkpoint={"step": 200}))
    assert "moved others by +0.03" in told
    assert "Step 100 is more alike (likeness 0.60, not 0.50)" in told
    assert "leakage +0.24, not +0.03." in told


def test_a_choice_of_one_or_of_none_that_gained_is_told_as_that() -> None:
    assert "Only one checkpoint was saved, that of step 100" in chosen(fine(scores=[score(100, 0.5, 0.6)]))
    none = chosen(fine(scores=[score(100, 0.2, -0.3), score(200, 0.3, 0.0)]))
    assert "on the seeds of the choice none is more like the person" in none
    assert chosen({}) == ""


def test_a_choice_without_the_untrained_checkpoint_names_what_is_known() -> None:
    assert "its likeness is 0.54, and it follows prompts to 90%." in chosen(fine(untrained=None))


MINUS_ZERO = re.compile(r"-0(\.0+)?(?![0-9.])")
NEARLY_ZERO = [
    [score(100, 0.5, -0.001), {**score(200, 0.6, -0.2), "leakage": -0.004}],
    [{**score(100, 0.7, 0.6), "leakage": -0.0}, {**score(200, 0.4, -0.004), "leakage": -0.001}],
]


@pytest.mark.parametrize("scores", NEARLY_ZERO)
def test_no_sentence_of_the_choice_has_a_zero_with_a_minus(scores: list[Document]) -> None:
    for step in (100, 200):
        for kind in (fine, style):
            found = choice(kind(scores=scores, checkpoint={"step": step}))
            assert found
            for one in found:
                for language in LANGUAGES:
                    assert not MINUS_ZERO.search(text(f"choice.{one.code}", language, **one.values)), one.text


def test_no_advice_has_a_zero_with_a_minus() -> None:
    ceiling = {"floor": -0.004, "after": 0.3, "ceiling": 0.35, "recovered": 0.9}
    (found,) = advice(fine(likeness=ceiling))
    assert found.code == "LOW_CEILING" and "0.00" in found.text and "-0.00" not in found.text
    (rate,) = advice(fine(prompt_following=0.6, plan=plan(learning_rate=1e-6)))
    assert rate.values["value"] == 5e-7


def test_the_sentence_on_the_card_has_no_zero_with_a_minus() -> None:
    assert note_of(Likeness(-0.001, -0.004, 0.5), held_out=True) == "Likeness 0.00 (before 0.00, best possible 0.50)."
    assert str(likeness_document(Likeness(-0.00001, -0.00001, 0.5))).count("-0") == 0


# -- the advice


CASES = [
    (fine(likeness=None, lacked_room=True), "had no room for it. What was trained is whole: rank pictures made with it "
     "in the WebUI; or close other programs that use the card, or set resolution_px to 384, and train again"),
    (fine(likeness=None, lacked_room=True, plan=plan(resolution_px=448)), "use the card and train again"),
    (fine(likeness=None), "with steps set to 150 it takes half as long"),
    (fine(measured_on={"photos": 4, "held_out": False}, photos=4), "add photos, 8 or more in all"),
    (fine(measured_on={"photos": 12, "held_out": False}), "set held_out to 0.2"),
    (low(photos=6), "Only 6 photos were used"),
    (fine(likeness={"floor": 0.2, "after": 0.3, "ceiling": 0.35, "recovered": 0.9}), "min_face_px 128"),
    (low(scores=[score(300, 0.45, 0.5)]), "set save_count to 4"),
    (low(plan=plan(stop_at=0.5, steps=900)), "stopped at step 300 of 900 because stop_at is 0.5"),
    (low(scores=[score(200, 0.4, 0.3), score(300, 0.45, 0.5)], checkpoint={"step": 300}), "set steps to 450"),
    (low(scores=[score(100, 0.5, 0.6), score(300, 0.4, 0.3)], checkpoint={"step": 100}),
     "set steps to 150 or learning_rate to 5e-05"),
    (low(), "set rank to 64"),
    (low(scores=[score(200, 0.3, -0.01), score(300, 0.29, -0.03)]), "did not rise clearly during the training: set "
     "steps to 600"),
    (low(scores=[score(200, 0.3, -0.01), score(300, 0.15, -0.5)], checkpoint={"step": 300}), "fell far below what it "
     "was before the training, which was too strong: set learning_rate to 5e-05"),
    (low(usual_learning_rate=2e-6), "0.0001, is many times what suits this method, which damages pictures: set "
     "learning_rate to 2e-06"),
    (low(usual_learning_rate=2e-6, scores=[score(200, 0.4, 0.3), score(300, 0.45, 0.5)], checkpoint={"step": 300}),
     "set learning_rate to 2e-06"),
    (low(usual_learning_rate=8e-3), "0.0001, is a small part of what suits this method, with which it learns next to "
     "nothing: set learning_rate to 0.008"),
    (low(scores=[], plan=plan(guidance=5.0), less_guidance={"guidance": 3.0, "likeness": 0.5}),
     "likeness 0.50 at CFG scale 3, 0.45 at 5): make them with CFG scale 3"),
    (low(plan=IN_WORDS), "set vectors to 8, or use the method LoRA"),
    (fine(leakage=0.2), "use the method Dreambooth-LoRA, or set prior_weight to 0.3"),
    (fine(leakage=0.2, plan=plan(goal="face-quick")), 'choose the goal "A face: balanced"'),
    (fine(leakage=0.2, plan=plan(goal="face-quick", prior_weight=0.2)), "set prior_weight to 0.4"),
    (fine(leakage=0.2, method="dreambooth-lora", plan=plan(prior_weight=1.0)), "(by 0.20): set prior_weight to 2"),
    (fine(prompt_following=0.6), "(60% instead of 90%): set learning_rate to 5e-05; or use this one at a weight"),
    (fine(prompt_following=0.6, plan=plan(prior_weight=0.5, prior_after=0.0)), "set prior_after to 0.25; or use"),
    (fine(prompt_following=0.6, plan=plan(prior_weight=0.5, prior_after=0.25)), "set learning_rate to 5e-05"),
    (
        fine(prompt_following=0.6, plan=plan(prior_weight=0.5, prior_after=0.0), engine="kohya"),
        "set learning_rate to 5e-05",
    ),
    (fine(prompt_following=0.6, plan=plan(text_encoder_learning_rate=1e-5)), "set text_encoder_learning_rate to 0"),
    (fine(prompt_following=0.6, plan=plan(optimiser="prodigy")), "set steps to 200"),
    (fine(prompt_following=0.6, plan=plan(optimiser="schedulefree")), "set learning_rate to 5e-05"),
    (fine(scores=[score(200, 0.5, 0.6, faces=0.5)]), "the training damaged the pictures; set learning_rate to 5e-05"),
    (fine(scores=[score(200, 0.5, 0.6, faces=0.5)], untrained={"faces_found": 0.4}), "set sample_steps to 30"),
    (fine(scores=[score(200, 0.5, 0.6, faces=0.1)], untrained={"faces_found": 0.1}, native_px=800), "set resolution_px "
     "to 768"),
    (fine(likeness={"floor": 0.0, "after": 0.1, "ceiling": 0.3, "recovered": 0.9}, native_px=1024), "At 512 pixels the "
     "best that this checkpoint, made for 1024, allows is a likeness of 0.30: set resolution_px to 1024"),
    (fine(likeness={"floor": 0.0, "after": 0.0, "ceiling": 0.02, "recovered": 0.9}, native_px=512), "(likeness 0.02): "
     "set resolution_px to 768, or use a checkpoint with another VAE"),
    (fine(diversity=0.1), "set unmasked_weight to 0.2"),
]


def test_less_guidance_is_advised_only_where_it_does_something() -> None:
    for likeness in (0.3, 0.45, 0.46):
        found = low(scores=[], plan=plan(guidance=5.0), less_guidance={"guidance": 3.0, "likeness": likeness})
        assert advice(found) == []


def test_a_likeness_that_rose_on_no_seeds_is_not_said_to_have_stopped_rising() -> None:
    flat = [score(200, 0.3, 0.0), score(300, 0.3, 0.0)]
    lost = {"floor": 0.3, "after": 0.301, "ceiling": 0.6, "recovered": 0.003}
    for document in (low(scores=flat), fine(likeness=lost), fine(likeness=lost, untrained=None)):
        assert [(one.code, one.values["steps"]) for one in advice(document)] == [("NEVER_ROSE", 600)]
    assert advice(low(scores=flat, plan=plan(steps=20000))) == []


@pytest.mark.parametrize(("used", "likeness", "said"), [
    (plan(save_count=1, steps=20), 0.29, ("NEVER_ROSE", "steps", 400)),
    (plan(save_count=1, steps=300), 0.3, ("NEVER_ROSE", "steps", 600)),
    (plan(save_count=1, steps=20), 0.15, ("TOO_STRONG", "value", 5e-5)),
])
def test_of_one_checkpoint_that_learned_nothing_it_is_said_what_to_change_and_not_to_save_more(
    used: Document, likeness: float, said: tuple[str, str, float]
) -> None:
    step, lost = used["steps"], {"floor": 0.3, "after": likeness, "ceiling": 0.6, "recovered": (likeness - 0.3) / 0.3}
    found = advice(fine(
        scores=[score(step, likeness, -0.1)], likeness=lost, checkpoint={"step": step}, plan=used, usual_steps=400,
    ))
    assert [(one.code, one.values[said[1]]) for one in found] == [(said[0], said[2])]


@pytest.mark.parametrize("photos", [4, 12])
def test_where_no_checkpoint_gained_anything_the_last_is_not_said_to_have_been_still_rising(photos: int) -> None:
    """Of equals the last one is published."""
    flat = [score(200, 0.3, 0.0), score(300, 0.3, 0.0)]
    lost = {"floor": 0.3, "after": 0.3, "ceiling": 0.6, "recovered": 0.0}
    found = advice(fine(scores=flat, likeness=lost, checkpoint={"step": 300}, photos=photos))
    assert "NEVER_ROSE" in [one.code for one in found] and "TRAIN_LONGER" not in [one.code for one in found]


LONGER = low(scores=[score(200, 0.4, 0.3), score(300, 0.45, 0.5)], checkpoint={"step": 300})
NEVER = low(scores=[score(200, 0.3, 0.0), score(300, 0.3, 0.0)], checkpoint={"step": 300})
OVERSHOT = low(scores=[score(100, 0.5, 0.6), score(300, 0.4, 0.3)], checkpoint={"step": 100})


@pytest.mark.parametrize("document", [LONGER, NEVER, OVERSHOT, low(), low(plan=IN_WORDS)])
def test_of_a_rate_that_learns_next_to_nothing_only_that_is_told(document: Document) -> None:
    usual = 20 * document["plan"]["learning_rate"]
    (found,) = advice({**document, "usual_learning_rate": usual})
    assert (found.code, found.values["usual"]) == ("TOO_SLOW", usual)


@pytest.mark.parametrize(("rate", "optimiser", "said"), [
    (9e-4, "adamw", ["TOO_SLOW"]), (1e-3, "adamw", []), (1e-5, "prodigy", []), (1e-5, "muon", ["TOO_SLOW"]),
])
def test_a_rate_is_too_low_below_a_tenth_unless_it_is_a_factor_of_one_that_is_found(
    rate: float, optimiser: str, said: list[str]
) -> None:
    found = {**LONGER, "plan": plan(learning_rate=rate, optimiser=optimiser), "usual_learning_rate": 1e-2}
    assert [one.code for one in advice(found) if one.code == "TOO_SLOW"] == said


def of_two(first: Document, last: Document) -> list[str]:
    found = low(scores=[first, last], checkpoint={"step": first["step"]}, plan=plan(steps=last["step"]))
    return [one.code for one in advice(found)]


def test_a_training_that_never_learned_was_not_trained_too_hard() -> None:
    assert of_two(score(100, 0.3, 0.0), score(300, 0.27, -0.1)) == ["NEVER_ROSE"]
    assert of_two(score(100, 0.4, 0.3), score(300, 0.27, -0.1)) == ["TRAIN_SHORTER_OR_SLOWER"]


def test_one_that_damaged_the_pictures_was_also_where_it_learned_nothing() -> None:
    assert of_two(score(100, 0.3, 0.0), score(300, 0.19, -0.4)) == ["TRAIN_SHORTER_OR_SLOWER"]
    faceless = of_two(score(100, 0.3, 0.0, faces=0.5), score(300, 0.29, -0.4, faces=0.2))
    assert faceless == ["TRAIN_SHORTER_OR_SLOWER", "FEW_FACES"]


def test_as_many_steps_as_now_are_not_advised_as_fewer() -> None:
    assert of_two(score(1, 0.5, 0.6), score(2, 0.4, 0.3)) == []
    assert of_two(score(2, 0.5, 0.6), score(4, 0.4, 0.3)) == ["TRAIN_SHORTER_OR_SLOWER"]


@pytest.mark.parametrize(("side", "native", "said"), [
    (64, 192, "FEW_FACES_SMALL"), (128, 192, "FEW_FACES_SMALL"), (384, 512, "FEW_FACES_BEFORE"),
    (192, 192, "FEW_FACES_BEFORE"), (64, 100, "FEW_FACES_BEFORE"), (64, None, "FEW_FACES_BEFORE"),
])
def test_pictures_far_smaller_than_a_checkpoint_was_made_for_are_not_blamed_on_it(
    side: int, native: int | None, said: str
) -> None:
    few = {"scores": [score(200, 0.5, 0.6, faces=0.1)], "untrained": {"faces_found": 0.1}}
    found = fine(**few, plan=plan(resolution_px=side), native_px=native)
    assert [one.code for one in advice(found)] == [said]


def test_the_size_is_named_once_where_it_takes_the_faces_of_photos_and_of_pictures() -> None:
    few = {"scores": [score(200, 0.0, 0.0, faces=0.0)], "untrained": {"faces_found": 0.0}}
    lost = {"floor": 0.0, "after": 0.0, "ceiling": 0.0, "recovered": 0.0}
    found = advice(fine(**few, likeness=lost, plan=plan(resolution_px=64, save_count=4), native_px=192))
    assert [(one.code, one.values["native"]) for one in found] == [("LOW_CEILING_SMALL", 192)]


def test_no_larger_size_than_the_largest_is_advised() -> None:
    lost = {"floor": 0.0, "after": 0.0, "ceiling": 0.0, "recovered": 0.9}
    assert [one.code for one in advice(fine(likeness=lost, plan=plan(resolution_px=1536)))] == ["LOW_CEILING"]


@pytest.mark.parametrize(("before", "said"), [(1.0, "FEW_FACES"), (0.0, "FEW_FACES_BEFORE")])
def test_more_steps_are_not_advised_where_it_is_faces_that_lack(before: float, said: str) -> None:
    faceless = [score(200, 0.0, 0.0, faces=0.2), score(300, 0.0, 0.0, faces=0.2)]
    lost = {"floor": 0.0, "after": 0.0, "ceiling": 0.6, "recovered": 0.0}
    found = fine(scores=faceless, likeness=lost, untrained={"faces_found": before}, checkpoint={"step": 300})
    assert [one.code for one in advice(found)] == [said]


ONE_OF_MORE = [
    (plan(save_count=6, stop_at=0.4, steps=900), 150, ["STOPPED_EARLY"]),
    (plan(save_count=1, stop_at=0.4, steps=900), 150, ["STOPPED_EARLY"]),
    (plan(save_count=6), 50, []),  # cancelled, and the first of six was measured
    (plan(save_count=1, steps=1), 1, []),
    (plan(save_count=1), 300, ["ONE_CHECKPOINT"]),
]


@pytest.mark.parametrize(("used", "step", "said"), ONE_OF_MORE)
def test_more_checkpoints_are_advised_only_where_one_was_asked_for(used: Document, step: int, said: list[str]) -> None:
    found = low(scores=[score(step, 0.45, 0.5)], checkpoint={"step": step}, plan=used)
    assert [one.code for one in advice(found)] == said


@pytest.mark.parametrize(("document", "part"), CASES)
def test_each_weakness_has_its_own_advice_with_a_value(document: Document, part: str) -> None:
    told = advice(document)
    assert len(told) == 1 and part in told[0].text, told


def test_every_setting_that_is_named_exists() -> None:
    settings = {name for kind in PLANS.values() for name in kind.__fields__} | set(PhotoSettings.__fields__)
    told = " ".join(found.text for document, _ in CASES for found in advice(document))
    assert set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", told)) <= settings


def test_every_rule_speaks_in_some_case() -> None:
    assert all(any(rule(Numbers(document)) for document, _ in CASES) for rule in RULES)


@given(
    recovered=st.floats(0.8, 1.2), leakage=st.floats(-0.2, 0.05), after=st.floats(0.81, 1), diversity=st.floats(0.3, 2),
    photos=st.integers(1, 100), chosen=st.integers(0, 2), method=st.sampled_from(sorted(PLANS)),
)
def test_nothing_is_said_when_all_is_well(
    recovered: float, leakage: float, after: float, diversity: float, photos: int, chosen: int, method: Any
) -> None:
    document = fine(
        likeness={"floor": 0.3, "after": 0.3 + 0.3 * recovered, "ceiling": 0.6, "recovered": recovered},
        leakage=leakage, prompt_following=after, diversity=diversity, photos=photos, method=method.value,
        checkpoint={"step": 100 * (chosen + 1)}, plan={**PLANS[method]().dict(), "steps": 300},
    )
    assert advice(document) == []


@given(st.data())
def test_missing_and_strange_values_never_stop_it(data: st.DataObject) -> None:
    document = data.draw(st.sampled_from([fine(), low()]))
    for name in data.draw(st.lists(st.sampled_from(sorted(document)), unique=True)):
        document[name] = data.draw(JSON)
    for inner in ("plan", "likeness", "measured_on", "untrained"):
        if isinstance(document[inner], dict) and document[inner]:
            key = data.draw(st.sampled_from(sorted(document[inner])))
            document[inner] = {**document[inner], key: data.draw(JSON)}
    told = [*advice(document), *choice(document)]
    assert all(sentence.text for sentence in told)


def test_without_anything_only_the_missing_measurement_is_told() -> None:
    assert len(advice({})) == 1 and "before its likeness was measured" in advice({})[0].text


def unjudged(*steps: int) -> list[Document]:
    return [{"step": step, **dict.fromkeys(("likeness", "faces_found", "following", "merit", "leakage"))}
            for step in steps]


FIRST = score(100, 0.5, 0.6)
ALL_UNJUDGED = fine(scores=unjudged(100, 200), likeness=None, untrained=None, ceiling=None)


def test_what_was_not_judged_is_no_measured_zero() -> None:
    first = {"scores": [FIRST, *unjudged(200, 300)], "checkpoint": {"step": 100}}
    assert advice(low(**first)) == []
    assert chosen(low(**first)) == "Of 3 saved checkpoints only that of step 100 was judged: it was taken."
    assert "step 200 was chosen of 2" in chosen(fine(scores=[FIRST, score(200, 0.5, 0.9), *unjudged(300)]))
    assert advice(low(scores=[FIRST, score(200, 0.5, 0.9), *unjudged(300)])) == []


def test_where_nothing_was_judged_no_numbers_are_told() -> None:
    told = "None of the 2 saved checkpoints was judged: the last, that of step 200, was taken."
    assert chosen(ALL_UNJUDGED) == told and chosen({**ALL_UNJUDGED, "checkpoint": None}) == ""
    measured = low(scores=unjudged(100, 200), plan=plan(stop_at=0.5))
    assert chosen(measured) == told and [one.code for one in advice(measured)] == ["STOPPED_EARLY"]
    assert advice(low(scores=unjudged(100, 200))) == []


def test_of_a_training_of_which_nothing_was_measured_only_that_is_told() -> None:
    for held_out in (True, False):
        found = advice(unmeasured(measured_on={"photos": 3, "held_out": held_out}))
        assert [one.code for one in found] == ["UNMEASURED_SHORTER"]
    assert chosen(unmeasured()) == "Only one checkpoint was saved, that of step 19: it was taken."


# -- codes


def style(**changes: Any) -> Document:
    """A style's training: its resemblance was measured, no likeness."""
    rows = [{**row, "resemblance": row["likeness"], "likeness": None} for row in fine()["scores"]]
    measured = {"floor": 0.3, "after": 0.55, "ceiling": 0.6, "recovered": 0.833}
    return fine(likeness=None, **{"resemblance": measured, "scores": rows, "plan": plan(goal="style"), **changes})


STYLES = [
    style(resemblance=None, plan=plan(goal="style", steps=60)), style(resemblance=None), style(leakage=0.2),
    style(measured_on={"photos": 3, "held_out": False}), style(measured_on={"held_out": False}, photos=3),
    fine(likeness=None, plan=plan(steps=60)), fine(leakage=0.2, plan=plan(prior_weight=4.0)),
    fine(prompt_following=0.6, method="dreambooth"), low(plan={**IN_WORDS, "vectors": 32}),
    low(scores=[score(100, 0.5, 0.6), score(300, 0.4, 0.3)], checkpoint={"step": 100}, plan=plan(optimiser="prodigy")),
]
CHOICES = [
    fine(), fine(scores=[score(100, 0.5, 0.6)]), fine(scores=[score(100, 0.2, -0.3), score(200, 0.3, 0.0)]),
    fine(untrained=None), style(), fine(checkpoint={"step": 100}), style(checkpoint={"step": 100}),
    ALL_UNJUDGED, fine(scores=[FIRST, *unjudged(200)], checkpoint={"step": 100}),
]


def test_every_code_is_said_in_some_case() -> None:
    documents = [*(document for document, _ in CASES), *STYLES]
    assert {found.code for document in documents for found in advice(document)} == set(advising.CODES)
    assert {found.code for document in CHOICES for found in choice(document)} == set(reporting.CODES)


def test_every_code_is_said_in_every_language_with_the_values_it_comes_with() -> None:
    told = [("train_advice", found) for document in (*STYLES, *(document for document, _ in CASES))
            for found in advice(document)]
    told += [("choice", found) for document in CHOICES for found in choice(document)]
    for family, found in told:
        said = {language: text(f"{family}.{found.code}", language, **found.values) for language in LANGUAGES}
        assert said["en"] == found.text and len(set(said.values())) == len(LANGUAGES)
        assert len({tuple(sorted(re.findall(r"[0-9][0-9.e-]*[0-9]%?|[0-9]%?", one))) for one in said.values()}) == 1


def test_the_result_keeps_its_sentences_and_has_their_codes_beside_them() -> None:
    found = advice(fine(leakage=0.2, method="dreambooth"))
    assert codes(found) == [{"code": "LEAKAGE", "values": {"leakage": 0.2, "setting": "prior_weight", "value": 0.3}}]
    assert json.loads(json.dumps(codes(found))) == codes(found)
