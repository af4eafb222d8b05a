"""Avatars on disk: one folder each, by name, by user, movable, erasable."""
from __future__ import annotations

import shutil
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from personal_avatar.avatars import AvatarStore
from personal_avatar.domain import Avatar
from personal_avatar.erasure import erase_trained
from personal_avatar.errors import InvalidSettings, NotFound, NotReadable, WrongState

from tests.unit.locks import lock, unreadable


@pytest.fixture()
def store(tmp_path: Path) -> AvatarStore:
    return AvatarStore(tmp_path / "avatars")


def saved(store: AvatarStore, name: str = "Anna", user_id: str = "u") -> Avatar:
    avatar = store.open(name, user_id=user_id, class_noun="woman", statement="she agreed")
    store.save(avatar)
    return avatar


def photo(folder: Path, name: str, content: bytes = b"jpeg") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def test_an_avatar_is_found_by_name_and_by_id(store: AvatarStore) -> None:
    avatar = saved(store, "Ánna Đào")
    assert avatar.id == "anna-dao"
    assert store.load("anna-dao") == store.find("Ánna Đào") == avatar
    assert avatar.consent is not None
    assert avatar.consent.statement == "she agreed"


def test_the_same_name_of_the_same_user_is_the_same_avatar(store: AvatarStore) -> None:
    first = saved(store)
    again = store.open(" Anna ", user_id="u", class_noun="girl", statement="again")
    assert (again.id, again.created_at, again.trigger) == (first.id, first.created_at, "sks girl")


def test_an_avatar_stays_the_same_when_another_of_nearly_its_name_is_erased(store: AvatarStore) -> None:
    first, second = saved(store, "Ann"), saved(store, "ann")
    assert (first.id, second.id) == ("ann", "ann-2")
    store.delete("ann")
    assert saved(store, "ann").id == "ann-2" and len(store.all()) == 1


def test_a_name_that_differs_in_the_case_of_letters_alone_is_told(store: AvatarStore) -> None:
    for name, user in (("Ann", "u"), ("Él", "u"), ("BO", "v")):
        saved(store, name, user)
    assert store.nearly(" ann ", "u") == "Ann" and store.nearly("e\u0301l", "u") == "Él"
    assert [store.nearly(name, "u") for name in ("Ann", "Anna", "El", "bo", "")] == [""] * 5
    saved(store, "ann", "u")
    assert store.nearly("ann", "u") == "" and store.nearly("ANN", "u") == "Ann"


def test_the_same_name_of_another_user_is_another_avatar(store: AvatarStore) -> None:
    ids = [saved(store, user_id=user).id for user in ("u", "v", "w")]
    assert ids == ["anna", "anna-2", "anna-3"]
    assert store.find("Anna", "v").id == "anna-2"
    assert [avatar.user_id for avatar in store.all("w")] == ["w"]
    assert len(store.all()) == 3


@pytest.mark.parametrize("name", ["Nguyễn Văn An, company portraits for the web site, all", "a" * 60, "Models"])
def test_the_same_long_name_of_many_users_can_be_found_by_id(store: AvatarStore, name: str) -> None:
    avatars = [saved(store, name, str(number)) for number in range(12)]
    assert len({avatar.id for avatar in avatars}) == 12
    assert all(store.folder(avatar.id).is_dir() for avatar in avatars)
    assert {avatar.id for avatar in store.all()} == {avatar.id for avatar in avatars}


def test_every_choice_is_a_plain_text_that_finds_one_avatar(store: AvatarStore) -> None:
    everybody = [saved(store, name, user) for name, user in (
        ("Anna", "u"), ("Anna", "v"), ("Ánna Đào", "u"), ("anna-2", "u"), ("Mia; Lea", "u"),
    )]
    choices = store.choices()
    assert all(type(choice) is str for choice in choices)
    assert sorted(store.find(choice).id for choice in choices) == sorted(avatar.id for avatar in everybody)
    assert {"anna", "anna-2", "Ánna Đào", "Mia; Lea"} < set(choices) and "Anna" not in choices


def test_no_avatar_takes_an_address_of_the_api(store: AvatarStore) -> None:
    assert [saved(store, "Train", user).id for user in ("u", "v")] == ["train-2", "train-3"]
    assert store.open("Train", user_id="u", class_noun="man", statement="s").id == "train-2"


@pytest.mark.parametrize("name", ["", "   ", "x" * 81])
def test_impossible_names_are_refused(store: AvatarStore, name: str) -> None:
    with pytest.raises(InvalidSettings, match="1 to 80"):
        saved(store, name)


@pytest.mark.parametrize("sign", ["\n", "\t", "\x1b", "\x7f", "\x85", "\u2028", "\u2029"])
def test_a_name_that_holds_a_control_character_is_refused(store: AvatarStore, sign: str) -> None:
    with pytest.raises(InvalidSettings, match="control character"):
        saved(store, f"A{sign}B")


@pytest.mark.parametrize("name", ["///", "..", "-", "«»", "\u200b"])
def test_a_name_of_marks_alone_is_refused(store: AvatarStore, name: str) -> None:
    with pytest.raises(InvalidSettings, match="is no name"):
        saved(store, name)


@pytest.mark.parametrize("name", ["安娜", "7", "🦊", "-x-"])
def test_a_name_in_any_script_is_taken(store: AvatarStore, name: str) -> None:
    assert saved(store, name).name == name


def test_a_name_whose_accents_are_apart_is_the_same_name(store: AvatarStore) -> None:
    """macOS gives names of files so."""
    whole, apart = (unicodedata.normalize(form, "Émile") for form in ("NFC", "NFD"))
    first = saved(store, apart)
    assert (first.name, saved(store, whole).id) == (whole, first.id)
    assert store.find(apart) == store.find(whole) == store.own(apart, "u")
    store.save(replace(first, name=apart))  # as earlier versions kept it
    assert saved(store, whole).id == store.find(whole).id == first.id and len(store.all()) == 1


@pytest.mark.parametrize("sign", ["\u202e", "\u2066", "\u200f"])
def test_names_that_are_shown_in_another_order_are_refused(store: AvatarStore, sign: str) -> None:
    with pytest.raises(InvalidSettings, match="direction"):
        saved(store, f"Anna{sign}annA")


@pytest.mark.parametrize("noun", ["", "Frau Müller", "a,b", "man)", "x" * 31])
def test_class_nouns_are_plain_words(store: AvatarStore, noun: str) -> None:
    with pytest.raises(InvalidSettings, match="English noun"):
        store.open("Anna", user_id="u", class_noun=noun, statement="s")


@pytest.mark.parametrize("wanted", ["", "..", "../anna", "Anna", "no-such", "anna/photos", "a\x00"])
def test_what_is_no_id_is_not_found(store: AvatarStore, wanted: str) -> None:
    saved(store)
    with pytest.raises(NotFound):
        store.folder(wanted)


def test_spaces_around_a_class_noun_are_not_in_the_trigger(store: AvatarStore) -> None:
    avatar = store.open("Rex", user_id="local", class_noun=" guide  dog ", statement="yes")
    assert (avatar.class_noun, avatar.trigger) == ("guide dog", "sks guide dog")


def test_photos_lie_beside_earlier_ones_and_lose_their_names(store: AvatarStore, tmp_path: Path) -> None:
    avatar = saved(store)
    given = tmp_path / "given"
    old = store.add_photos(avatar, [photo(given, "old.png")])
    files = [photo(given, "IMG 1.JPEG"), photo(given, "..png", b"other"), photo(given, "x.\udcff")]
    paths = store.add_photos(avatar, files)
    folder = store.folder(avatar.id) / "photos"
    assert sorted(folder.iterdir()) == sorted((*old, *paths))
    assert [path.read_bytes() for path in paths] == [b"jpeg", b"other", b"jpeg"]
    assert [path.suffix for path in paths] == [".jpeg", ".png", ""]
    assert all("IMG" not in path.name for path in paths)


def test_a_photo_that_is_there_is_not_copied_twice_unless_its_caption_is_another(
    store: AvatarStore, tmp_path: Path
) -> None:
    avatar, given = saved(store), photo(tmp_path / "given", "a.png")
    (first,) = store.add_photos(avatar, [given])
    given.with_suffix(".txt").write_text("a man")
    (second,) = store.add_photos(avatar, [given])
    assert first != second and not first.with_suffix(".txt").exists()
    assert second.with_suffix(".txt").read_text() == "a man"
    assert store.add_photos(avatar, [given]) == (second,)
    assert store.photos(avatar.id) == sorted([first, second])


def test_a_photo_keeps_its_name_as_long_as_it_lies_there_with_its_caption(store: AvatarStore, tmp_path: Path) -> None:
    avatar, given = saved(store), photo(tmp_path / "given", "a.png")
    store.add_photos(avatar, [given])
    given.with_suffix(".txt").write_text("a man")
    (second,) = store.add_photos(avatar, [given])
    store.keep_photos(avatar.id, {second.name})
    assert store.add_photos(avatar, [given]) == (second,) and store.photos(avatar.id) == [second]


def test_a_damaged_photo_is_mended_by_the_one_that_is_given_again(store: AvatarStore, tmp_path: Path) -> None:
    avatar, given = saved(store), photo(tmp_path / "given", "a.png")
    (first,) = store.add_photos(avatar, [given])
    first.write_bytes(b"")
    assert store.add_photos(avatar, [given]) == (first,) and first.read_bytes() == given.read_bytes()


def test_only_its_own_photos_are_an_avatars(store: AvatarStore, tmp_path: Path) -> None:
    avatar = saved(store)
    (own,) = store.add_photos(avatar, [photo(tmp_path / "given", "a.png")])
    store.save(replace(avatar, photos=(own.name,)))
    store.add_photos(avatar, [photo(tmp_path / "given", "b.png", b"stranger")])
    assert store.photos(avatar.id) == [own]


def test_photos_that_cannot_be_copied_leave_the_earlier_ones(store: AvatarStore, tmp_path: Path) -> None:
    avatar = saved(store)
    (kept,) = store.add_photos(avatar, [photo(tmp_path / "given", "a.png")])
    with pytest.raises(FileNotFoundError):
        store.add_photos(avatar, [tmp_path / "gone.png"])
    assert kept.read_bytes() == b"jpeg"


def test_an_avatar_can_be_copied_to_another_machine(store: AvatarStore, tmp_path: Path) -> None:
    avatar = saved(store)
    other = AvatarStore(tmp_path / "elsewhere")
    shutil.copytree(store.folder(avatar.id), tmp_path / "elsewhere" / avatar.id)
    assert other.all() == [avatar]


@pytest.mark.parametrize("content", ["{", "[]", '{"id": 1}', ""])
def test_a_damaged_avatar_is_left_out(store: AvatarStore, content: str) -> None:
    saved(store)
    broken = saved(store, "Bob")
    (store.folder(broken.id) / "avatar.json").write_text(content)
    assert [avatar.id for avatar in store.all()] == ["anna"] and store.damaged() == [broken.id]


def test_an_avatar_that_cannot_be_opened_for_a_moment_is_not_damaged(
    store: AvatarStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(store)
    fresh = AvatarStore(store.folder("anna").parent)
    with monkeypatch.context() as patch:
        unreadable(patch, "avatar.json")
        for ask in (fresh.damaged, lambda: fresh.load("anna"), lambda: fresh.find("anna")):
            with pytest.raises(NotReadable, match=r"avatar\.json cannot be read now: Too many open files"):
                ask()
        assert fresh.all() == []
    assert fresh.damaged() == [] and fresh.load("anna").name == "Anna"


def test_an_avatar_whose_file_an_editor_marked_as_utf_8_is_read(store: AvatarStore) -> None:
    file = store.folder(saved(store).id) / "avatar.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert [avatar.name for avatar in store.all()] == ["Anna"] and store.damaged() == []


def test_erasing_an_avatar_takes_its_photos(store: AvatarStore, tmp_path: Path) -> None:
    avatar = saved(store)
    store.add_photos(avatar, [photo(tmp_path / "given", "a.png")])
    folder = store.folder(avatar.id)
    store.delete(avatar.id)
    assert not folder.exists()
    assert store.all() == []


def test_trained_files_are_erased_with_their_companions(tmp_path: Path) -> None:
    suffixes = (".safetensors", ".png", ".json", ".preview.png", ".yaml")
    files = [photo(tmp_path / "loras", name) for name in (*(f"anna{suffix}" for suffix in suffixes), "other.png")]
    assert [erase_trained(file) for file in (files[0], tmp_path / "gone.safetensors", files[-1] / "no-folder.pt")] == [
        [], [], []
    ]
    assert [path.name for path in (tmp_path / "loras").iterdir()] == ["other.png"]


def test_a_trained_file_in_use_is_left_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, picture = (photo(tmp_path / "loras", name) for name in ("anna.safetensors", "anna.png"))
    lock(monkeypatch, network.name)
    assert erase_trained(network) == [network] and not picture.exists()


def test_a_trained_file_stays_to_be_found_while_something_beside_it_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, picture = (photo(tmp_path / "loras", name) for name in ("anna.safetensors", "anna.png"))
    lock(monkeypatch, picture.name)
    assert erase_trained(network) == [picture, network] and network.exists()


@pytest.mark.parametrize("in_use", ["second.png", "photos", "avatar.json", "anna"])
def test_an_avatar_is_there_to_be_erased_again_until_nothing_of_it_is_left(
    store: AvatarStore, tmp_path: Path, in_use: str
) -> None:
    folder = store.folder(saved(store).id)
    for name in ("first.png", "second.png"):
        photo(folder / "photos", name)
    with pytest.MonkeyPatch.context() as patch:
        lock(patch, in_use)
        with pytest.raises(WrongState, match="could not be erased"):
            store.delete("anna")
        assert not (folder / "photos" / "first.png").exists()
    assert [avatar.name for avatar in store.all()] == ["Anna"]
    store.delete("anna")
    assert not folder.exists() and store.all() == []


def test_an_avatar_outlives_what_others_could_not_erase(store: AvatarStore, tmp_path: Path) -> None:
    avatar = saved(store)
    store.add_photos(avatar, [photo(tmp_path / "given", "a.png")])
    with pytest.raises(WrongState, match="job-of-hers"):
        store.delete(avatar.id, [tmp_path / "job-of-hers"])
    assert store.load(avatar.id) == avatar and store.photos(avatar.id) == []


def test_an_avatar_is_changed_by_saving_it_again(store: AvatarStore) -> None:
    avatar = saved(store)
    store.save(replace(avatar, base_title="other"))
    assert store.load(avatar.id).base_title == "other"


def test_what_another_program_saves_is_seen_at_once_and_what_it_erases_is_forgotten(tmp_path: Path) -> None:
    ours, theirs = AvatarStore(tmp_path), AvatarStore(tmp_path)
    avatar = saved(theirs, "Anna")
    assert ours.load("anna") == ours.find("Anna") == avatar
    for trigger in ("sks woman", "skt woman", "sku woman"):  # as long as it was
        theirs.save(replace(avatar, trigger=trigger))
        assert ours.load("anna").trigger == ours.all()[0].trigger == trigger
    theirs.delete("anna")
    assert ours.all() == [] and ours._seen == {}
    with pytest.raises(NotFound):
        ours.load("anna")


def test_a_list_of_many_avatars_reads_each_file_once(store: AvatarStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        saved(store, f"n{number}")
    first = store.all()
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: pytest.fail("read again"))
    assert store.all() == first and store.find("n3").name == "n3" and store.own("n2", "u").id == "n2"


def test_a_list_is_read_page_by_page(store: AvatarStore) -> None:
    for number in range(7):
        saved(store, f"n{number}", "uv"[number % 2])
    pages = [store.all("u", after, 2) for after in ("", "n2", "n6")]
    assert [[avatar.id for avatar in page] for page in pages] == [["n0", "n2"], ["n4", "n6"], []]


def test_ones_own_is_found_whatever_others_have(store: AvatarStore) -> None:
    saved(store, "anna", "u")
    own = saved(store, "anna", "v")
    assert own.id == "anna-2" and store.own("anna", "v") == own == store.own("anna-2", "v")
    assert store.own("anna", "u").id == "anna" == store.find("anna", "v").id
    for name in ("anna", "anna-2", "../x"):
        with pytest.raises(NotFound):
            store.own(name, "w")
