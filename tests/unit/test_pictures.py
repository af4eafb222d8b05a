"""Pictures on disk: upright RGB in, marked and complete PNG out."""
from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from personal_avatar.errors import UnreadablePhoto
from personal_avatar.pictures import (
    EDITED,
    GENERATED,
    alpha_of,
    infotext_of,
    load_picture,
    moves,
    negative_prompt_in,
    prompt_in,
    prompt_of,
    save_picture,
    settings_in,
    source_of,
    with_alpha,
    with_settings,
)
from PIL import Image


def noise(height: int = 12, width: int = 20) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_saved_picture_comes_back_pixel_by_pixel_with_its_infotext(tmp_path: Path) -> None:
    text = "a portrait of anna <lora:anna:1>\nNegative prompt: blurry\nSteps: 20, Sampler: Euler, Seed: 5"
    path = save_picture(noise(), tmp_path / "new" / "a.png", text)
    assert np.array_equal(load_picture(path), noise())
    assert infotext_of(path) == text


@pytest.mark.parametrize(("suffix", "frames", "moving"), [
    ("gif", 2, True), ("webp", 2, True), ("png", 2, True), ("gif", 1, False), ("webp", 1, False), ("png", 1, False),
    ("mpo", 2, False), ("jpg", 1, False),
])
def test_an_animation_is_told_from_a_picture(tmp_path: Path, suffix: str, frames: int, moving: bool) -> None:
    first, *others = (Image.fromarray(noise() + number) for number in range(frames))
    first.save(tmp_path / f"a.{suffix}", **({"save_all": True, "append_images": others} if others else {}))
    assert moves(tmp_path / f"a.{suffix}") is moving


def test_what_is_no_picture_is_no_animation(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    assert not moves(tmp_path / "a.gif") and not moves(tmp_path / "nothing.gif")


def test_an_infotext_in_any_script_survives(tmp_path: Path) -> None:
    path = save_picture(noise(), tmp_path / "a.png", "chân dung của Hoà, 肖像")
    assert infotext_of(path) == "chân dung của Hoà, 肖像"


@pytest.mark.parametrize(("infotext", "prompt"), [
    ("a\nb <lora:anna:1>\nNegative prompt: c\nSteps: 3, Seed: 1", "a\nb <lora:anna:1>"),
    ("a\nSteps: 3", "a"), ("Steps: 3", ""), ("just words", "just words"), ("", ""),
])
def test_the_prompt_is_read_out_of_the_infotext(tmp_path: Path, infotext: str, prompt: str) -> None:
    assert prompt_of(save_picture(noise(), tmp_path / "a.png", infotext)) == prompt


RESTORED = "Personal Avatar restored faces: 1, Personal Avatar restored with: GFPGAN"


@pytest.mark.parametrize(("before", "prompt"), [
    ("a\nb\nNegative prompt: c\nd\nSteps: 3, Seed: 1", "a\nb"), ("a\nSteps: 3", "a"), ("a photo", "a photo"), ("", ""),
    ("a\nNegative prompt: c", "a"), ("Personal Avatar of a cat", "Personal Avatar of a cat"),
])
def test_what_was_done_to_a_picture_is_no_part_of_its_prompts(before: str, prompt: str) -> None:
    after = with_settings(with_settings(before, RESTORED), RESTORED)
    assert prompt_in(after) == prompt_in(before) == prompt
    assert negative_prompt_in(after) == negative_prompt_in(before)
    assert settings_in(after) == ", ".join(filter(None, (settings_in(before), RESTORED, RESTORED)))


def test_the_parts_of_an_infotext_are_told_apart() -> None:
    infotext = "Pumpkin Seed: 7\nNegative prompt: c\nSize: small\nSteps: 3, Seed: 1\nTemplate: x"
    assert (prompt_in(infotext), negative_prompt_in(infotext)) == ("Pumpkin Seed: 7", "c\nSize: small")
    assert settings_in(infotext) == "Steps: 3, Seed: 1\nTemplate: x"


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
@pytest.mark.parametrize(("comment", "read"), [
    ("Vạn Lý Trường Thành\nSteps: 20".encode("utf-16-le"), "Vạn Lý Trường Thành\nSteps: 20"),
    ("a day at the sea".encode("utf-16"), "a day at the sea"),
    (b"\xfe\xff" + "一个女人".encode("utf-16-be"), "一个女人"),
    ("一个女人".encode("utf-16-be"), "一个女人"),
    ("a".encode("utf-16-le"), "a"),
    (b"\0" * 40, ""),
    ("a day".encode("utf-16-be") + b"\0" * 40, "a day"),
])
def test_a_cameras_comment_is_read_whichever_byte_comes_first(
    tmp_path: Path, suffix: str, comment: bytes, read: str
) -> None:
    exif = Image.Exif()
    exif[0x8769] = {0x9286: b"UNICODE\0" + comment}
    Image.fromarray(noise()).save(tmp_path / f"a.{suffix}", exif=exif)
    assert infotext_of(tmp_path / f"a.{suffix}") == read


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_the_webuis_infotext_in_other_formats_is_found(tmp_path: Path, suffix: str) -> None:
    """The WebUI writes UserComment as "UNICODE", a zero byte, and UTF-16 with the high byte first."""
    exif = Image.Exif()
    exif[0x8769] = {0x9286: b"UNICODE\0" + "chân dung\nSteps: 20".encode("utf-16-be")}
    Image.fromarray(noise()).save(tmp_path / f"a.{suffix}", exif=exif)
    assert infotext_of(tmp_path / f"a.{suffix}") == "chân dung\nSteps: 20"
    Image.fromarray(noise()).save(tmp_path / f"b.{suffix}")
    assert infotext_of(tmp_path / f"b.{suffix}") == ""


def test_a_saved_picture_says_that_a_model_made_it_or_a_part_of_it(tmp_path: Path) -> None:
    assert source_of(save_picture(noise(), tmp_path / "a.png")) == GENERATED
    assert source_of(save_picture(noise(), tmp_path / "b.png", source=EDITED)) == EDITED
    Image.fromarray(noise()).save(tmp_path / "plain.png")
    assert source_of(tmp_path / "plain.png") == ""


def test_saving_leaves_nothing_but_the_picture(tmp_path: Path) -> None:
    save_picture(noise(), tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_rotated_photo_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise()).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(load_picture(tmp_path / "turned.png"), np.rot90(noise(), -1))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16", "1"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    picture = Image.new("L", (6, 4), 128).convert(mode) if mode != "I;16" else Image.new("I;16", (6, 4), 128)
    suffix = "tif" if mode in ("CMYK", "I;16") else "png"
    picture.save(tmp_path / f"a.{suffix}")
    image = load_picture(tmp_path / f"a.{suffix}")
    assert image.shape == (4, 6, 3) and image.dtype == np.uint8


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "a.png")
    assert load_picture(tmp_path / "a.png").min() == 255


def test_a_transparent_picture_is_as_transparent_again_on_what_was_painted(tmp_path: Path) -> None:
    shown = np.dstack([noise(), np.linspace(0, 255, 240).astype(np.uint8).reshape(12, 20)])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(shown).save(tmp_path / "a.png", exif=exif)
    alpha, seen = alpha_of(tmp_path / "a.png"), load_picture(tmp_path / "a.png")
    assert alpha is not None and np.array_equal(alpha, np.rot90(shown[..., 3], -1))
    made = with_alpha(seen, alpha)
    assert np.array_equal(made[alpha == 255, :3], seen[alpha == 255])
    path = save_picture(made, tmp_path / "b.png")
    assert np.array_equal(alpha_of(path), alpha)
    assert np.abs(load_picture(path).astype(int) - seen).max() <= 1


def test_every_colour_under_every_alpha_is_what_the_formula_says() -> None:
    alpha, grey = np.mgrid[:256, :256].astype(np.uint8)
    image = np.dstack([grey, grey[:, ::-1], grey])
    opaque = np.maximum(alpha, 1)[..., None] / 255
    colours = np.clip(np.rint(255 - (255 - image.astype(np.float32)) / opaque), 0, 255).astype(np.uint8)
    higher = [np.concatenate([one, one[::-1], one[:7]]) for one in (image, alpha, colours)]
    made = with_alpha(*higher[:2])
    assert made.dtype == np.uint8 and np.array_equal(made, np.dstack([higher[2], higher[1]]))


def test_transparency_takes_little_more_memory_than_the_picture() -> None:
    image, alpha = np.zeros((8192, 256, 3), np.uint8), np.full((8192, 256), 128, np.uint8)
    tracemalloc.start()
    try:
        made = with_alpha(image, alpha)
        assert tracemalloc.get_traced_memory()[1] < 2 * made.nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "I;16"])
def test_a_picture_without_a_transparent_part_has_no_alpha(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (6, 4), 255 if mode in ("L", "P", "I;16") else "white").save(tmp_path / "a.png")
    assert alpha_of(tmp_path / "a.png") is None


def test_a_palette_with_a_transparent_colour_has_an_alpha(tmp_path: Path) -> None:
    picture = Image.new("P", (6, 4), 0)
    picture.putpixel((0, 0), 1)
    picture.save(tmp_path / "a.gif", transparency=1)
    alpha = alpha_of(tmp_path / "a.gif")
    assert alpha is not None and alpha[0, 0] == 0 and (alpha == 0).sum() == 1


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"])
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(UnreadablePhoto, match=r"bad\.png"):
        load_picture(tmp_path / "bad.png")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadablePhoto, match=r"gone\.png"):
        load_picture(tmp_path / "gone.png")


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "tiff"])
def test_a_picture_of_too_many_pixels_is_reduced_by_a_whole_factor(tmp_path: Path, kind: str) -> None:
    smooth = np.linspace(0, 255, 90 * 60 * 3).astype(np.uint8).reshape(60, 90, 3)
    Image.fromarray(smooth).save(tmp_path / f"a.{kind}")
    path = tmp_path / f"a.{kind}"
    assert load_picture(path, 90 * 60).shape == (60, 90, 3)
    reduced = load_picture(path, 90 * 60 - 1)
    assert reduced.shape == (30, 45, 3)
    assert np.abs(reduced.mean(axis=(0, 1)) - load_picture(path).mean(axis=(0, 1))).max() < 4


def test_a_large_photo_is_turned_upright_and_reduced(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(80, 40)).save(tmp_path / "a.jpg", exif=exif)
    assert load_picture(tmp_path / "a.jpg", 80 * 40 // 4).shape == (20, 40, 3)


def test_a_picture_that_is_gone_is_said_to_be_gone(tmp_path: Path) -> None:
    for read in (load_picture, infotext_of, alpha_of):
        with pytest.raises(UnreadablePhoto, match="cannot be read: No such file.*Check that it exists"):
            read(tmp_path / "gone.png")
