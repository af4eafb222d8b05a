"""Scores and the order of pictures."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from personal_avatar.domain import Face
from personal_avatar.errors import NoFace, UnreadablePhoto, WeightsMissing
from personal_avatar.faces.analyser import FaceAnalyser
from personal_avatar.pictures import save_picture
from personal_avatar.ranking.folder import Pace, rank_files, scored_files, to_document
from personal_avatar.ranking.likeness import Scorer
from personal_avatar.ranking.nouns import Opinions, Ranked
from personal_avatar.ranking.person import person_from
from PIL import Image, ImageFilter

from tests.unit.painted_faces import PaintedFaces, person, picture

ME, OTHER = 1, 2
SAMPLES = Path(__file__).parents[3] / "extension" / "personal_avatar" / "assets" / "samples"


@pytest.fixture
def scorer() -> Scorer:
    faces = PaintedFaces()
    return Scorer(faces, faces.embed(picture(ME), faces.detect(picture(ME))[0]))


def test_the_same_face_scores_one_and_another_one_less(scorer: Scorer) -> None:
    assert scorer.score(picture(ME)).likeness == pytest.approx(1.0, abs=1e-3)
    assert scorer.score(picture(OTHER)).likeness < 0.5  # type: ignore[operator]


def test_a_picture_without_a_face_has_no_likeness(scorer: Scorer) -> None:
    scored = scorer.score(picture(None))
    assert (scored.likeness, scored.faces, scored.face, scored.scores) == (None, 0, None, {})


def test_of_several_faces_the_one_most_like_the_person_counts_and_all_are_counted(scorer: Scorer) -> None:
    scored = scorer.score(picture(OTHER, ME, 3))
    assert scored.likeness == pytest.approx(1.0, abs=1e-3) and scored.faces == 3
    assert scored.face is not None and scored.face.box_px[0] == 64


def test_scores_tell_sharpness_and_size_of_the_face(scorer: Scorer) -> None:
    sharp = picture(ME, None)
    blurred = np.asarray(Image.fromarray(sharp).filter(ImageFilter.GaussianBlur(3)))
    scores = scorer.score(sharp).scores
    assert scores["face_size"] == 0.5 and scores["detection"] == 0.9
    assert scorer.score(blurred).scores["sharpness"] < 0.5 * scores["sharpness"]


class Reads:
    """A CLIP that fails when it is asked, or finds every prompt well followed."""

    def __init__(self, name: str, fails: bool = False) -> None:
        self.name, self._fails, self.asked = name, fails, 0

    def __call__(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[tuple[float, np.ndarray]]:
        self.asked += 1
        if self._fails:
            raise RuntimeError("CUDA out of memory")
        return [(1.0, np.ones(4, np.float32) / 2) for _ in images]


def seen_by(follows: Reads) -> Scorer:
    faces = PaintedFaces()
    reference = faces.embed(picture(ME), faces.detect(picture(ME))[0])
    return Scorer(faces, reference, lambda: Opinions(follows=follows))


def test_a_clip_that_fails_is_asked_once_and_all_else_is_told() -> None:
    follows = Reads("broken", fails=True)
    scorer = seen_by(follows)
    for _ in range(2):
        scored = scorer.score_many([picture(ME)], ["a woman"])[0]
        assert scored.likeness is not None and "prompt" not in scored.scores
    assert follows.asked == 1 and any("out of memory" in remark for remark in scorer.opinions.remarks)


def test_what_one_clip_said_is_not_taken_for_what_another_one_says() -> None:
    assert seen_by(Reads("a")).fingerprint == seen_by(Reads("a")).fingerprint != seen_by(Reads("b")).fingerprint


def test_a_reference_of_any_length_gives_cosines(scorer: Scorer) -> None:
    faces = PaintedFaces()
    reference = 17.0 * faces.embed(picture(ME), faces.detect(picture(ME))[0])
    assert Scorer(faces, reference).score(picture(ME)).likeness == pytest.approx(1.0, abs=1e-3)


def test_files_are_ranked_and_damaged_ones_come_last_with_the_reason(scorer: Scorer, tmp_path: Path) -> None:
    for name, image in {"other": picture(OTHER), "none": picture(None), "me": picture(ME)}.items():
        save_picture(image, tmp_path / f"{name}.png")
    (tmp_path / "bad.png").write_bytes(b"nothing")
    seen: list[tuple[int, int]] = []
    ranked = rank_files(sorted(tmp_path.iterdir()), scorer, lambda done, total: seen.append((done, total)))
    assert [item.path.stem for item in ranked] == ["me", "other", "none", "bad"]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    document = to_document(ranked)
    assert set(document["images"][0]) == {"path", "likeness", "scores", "faces"}
    assert document["images"][-1]["error"]["code"] == "UNREADABLE"


class Fails(PaintedFaces):
    """Cannot look at pictures that begin with a white pixel."""

    def detect(self, image: np.ndarray) -> list[Face]:
        if image[0, 0].min() == 255:
            raise IndexError("no such anchor")
        return super().detect(image)


def test_one_odd_file_does_not_end_a_ranking(tmp_path: Path) -> None:
    odd = picture(ME).copy()
    odd[0, 0] = 255
    for name, image in {"a": picture(ME), "odd": odd, "z": picture(OTHER)}.items():
        save_picture(image, tmp_path / f"{name}.png")
    faces = Fails()
    scorer = Scorer(faces, faces.embed(picture(ME), faces.detect(picture(ME))[0]))
    ranked = rank_files(sorted(tmp_path.iterdir()), scorer)
    assert [item.path.stem for item in ranked] == ["a", "z", "odd"]
    assert ranked[-1].error is not None and "IndexError: no such anchor" in ranked[-1].error["message"]


def test_what_the_judges_lack_ends_a_ranking(tmp_path: Path) -> None:
    class Lacking(PaintedFaces):
        def detect(self, image: np.ndarray) -> list[Face]:
            raise WeightsMissing("det.onnx is not there.")

    save_picture(picture(ME), tmp_path / "a.png")
    with pytest.raises(WeightsMissing):
        rank_files([tmp_path / "a.png"], Scorer(Lacking(), np.ones(4, np.float32)))


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_no_more_pixels_are_held_at_once_than_allowed(
    kind: str, scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large pictures are measured apart, and reduced; a face keeps its share of the picture."""
    monkeypatch.setattr("personal_avatar.ranking.folder.MOST_PX", 64 * 64 * 2)
    held: list[int] = []
    real = scorer.score_many
    monkeypatch.setattr(scorer, "score_many", lambda images, prompts: (
        held.append(sum(image.shape[0] * image.shape[1] for image in images)), real(images, prompts))[1])
    large = Image.fromarray(picture(ME)).resize((512, 512), Image.Resampling.NEAREST)
    for number in range(3):
        large.save(tmp_path / f"{number}.{kind}", quality=95)
        save_picture(picture(ME), tmp_path / f"{number}-small.png")
    ranked = list(scored_files(sorted(tmp_path.iterdir()), scorer, Pace(2, 6)))
    assert len(ranked) == 6 and len(held) >= 3 and max(held) <= 64 * 64 * 2
    assert all(item.error is None for item in ranked)


def test_the_document_of_nothing_is_empty() -> None:
    assert to_document([]) == {"images": []}
    assert to_document([Ranked(Path("x"), None)])["images"][0]["faces"] == 0


def test_a_reference_is_the_mean_of_the_faces_in_pictures(tmp_path: Path) -> None:
    faces = PaintedFaces()
    for number in range(3):
        noisy = np.clip(person(ME) + np.random.default_rng(number).normal(0, 20, (64, 64, 3)), 0, 255).astype(np.uint8)
        save_picture(noisy, tmp_path / f"{number}.png")
    save_picture(picture(None), tmp_path / "landscape.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    scorer = Scorer(faces, person_from(sorted(tmp_path.iterdir()), faces).reference)
    assert scorer.score(picture(ME)).likeness > 0.98  # type: ignore[operator]


def test_a_reference_without_a_face_is_named(tmp_path: Path) -> None:
    save_picture(picture(None), tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"")
    with pytest.raises(NoFace, match=r"a\.png"):
        person_from([tmp_path / "a.png"], PaintedFaces())
    with pytest.raises(UnreadablePhoto, match=r"b\.png"):
        person_from([tmp_path / "b.png"], PaintedFaces())
    with pytest.raises(NoFace, match="2 reference pictures"):
        person_from(sorted(tmp_path.iterdir()), PaintedFaces())


@pytest.mark.slow
def test_real_models_put_the_person_before_somebody_else_and_a_landscape_last(analyser: FaceAnalyser) -> None:
    her = person_from([SAMPLES / name for name in ("01.jpg", "02.jpg", "03.jpg")], analyser)
    scorer = Scorer(analyser, her.reference, lambda: her.opinions(analyser.same_person_above))
    names = ["no-face.jpg", "someone-else.jpg", "two-people.jpg", "04.jpg"]
    ranked = rank_files([SAMPLES / name for name in names], scorer)
    assert [item.path.name for item in ranked][0] == "04.jpg"
    assert [item.path.name for item in ranked][2:] == ["someone-else.jpg", "no-face.jpg"]
    assert {item.path.name: item.faces for item in ranked}["two-people.jpg"] == 2
