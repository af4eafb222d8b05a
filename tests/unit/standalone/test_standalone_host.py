"""Pictures from the shipped checkpoint without a WebUI. Small and few steps: what is tested is the path, not beauty."""
from __future__ import annotations

import inspect
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from personal_avatar.commandline import HOME_VARIABLE, default_data_folder
from personal_avatar.errors import Cancelled, GenerationFailed, InvalidSettings, NotFound, RestorerMissing
from personal_avatar.host import Host, Picture, PictureRequest
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.standalone.samplers import SAMPLERS

pytestmark = pytest.mark.slow

REQUEST = PictureRequest("a shaded portrait of a woman, blue shirt", "", (7,), 64, 64, steps=3, guidance=4.0)
GREY_LEVELS = 3  # batches of another size are computed in another order


def pictures(host: StandaloneHost, request: PictureRequest = REQUEST) -> list[Picture]:
    return list(host.generate(request, lambda step, total: None))


def distance(one: Picture, other: Picture) -> int:
    return int(np.abs(one.image.astype(int) - other.image.astype(int)).max())


def test_it_is_a_host() -> None:
    for name, member in inspect.getmembers(Host, inspect.isfunction):
        if not name.startswith("_"):
            wanted = list(inspect.signature(member).parameters)
            assert list(inspect.signature(getattr(StandaloneHost, name)).parameters) == wanted, name
    assert StandaloneHost.name == "standalone"


@pytest.mark.slow
def test_a_picture_has_the_size_asked_for_and_says_how_it_was_made(host: StandaloneHost) -> None:
    (picture,) = pictures(host, replace(REQUEST, width_px=72, negative_prompt="grey", infotext=(("Avatar", "a, b"),)))
    assert picture.image.shape == (64, 72, 3) and picture.image.dtype == np.uint8 and picture.seed == 7
    prompt, negative, settings = picture.infotext.split("\n")
    assert prompt == REQUEST.prompt and negative == "Negative prompt: grey"
    assert settings.startswith("Steps: 3, Sampler: DPM++ 2M, CFG scale: 4, Seed: 7, Size: 72x64, Model hash: ")
    assert 'Model: avatar-tiny, Avatar: "a, b", Version: personal-avatar' in settings


@pytest.mark.slow
def test_another_layer_of_the_text_encoder_gives_another_picture_that_tells_of_it(host: StandaloneHost) -> None:
    plain, last, skipped = (pictures(host, replace(REQUEST, clip_skip=n))[0] for n in (0, 1, 2))
    assert np.array_equal(plain.image, last.image) and distance(plain, skipped) > GREY_LEVELS
    assert "Clip skip: 2" in skipped.infotext and "Clip skip" not in plain.infotext + last.infotext


@pytest.mark.slow
def test_a_picture_depends_on_its_seed_and_not_on_its_neighbours(host: StandaloneHost) -> None:
    for sampler in ("DPM++ 2M", "Euler a"):
        alone = pictures(host, replace(REQUEST, sampler=sampler))[0]
        first, second, third = pictures(host, replace(REQUEST, sampler=sampler, seeds=(6, 7, 8)))
        assert distance(alone, second) <= GREY_LEVELS
        assert distance(first, second) > 20 < distance(second, third)


@pytest.mark.slow
def test_the_same_request_gives_the_same_bytes(host: StandaloneHost) -> None:
    assert distance(pictures(host)[0], pictures(host)[0]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_makes_a_picture(host: StandaloneHost, sampler: str) -> None:
    (picture,) = pictures(host, replace(REQUEST, sampler=sampler, guidance=1.0))
    assert picture.image.std() > 5 and f"Sampler: {sampler}," in picture.infotext


def test_an_unknown_sampler_names_the_known_ones(host: StandaloneHost) -> None:
    with pytest.raises(InvalidSettings, match="Euler a"):
        pictures(host, replace(REQUEST, sampler="Lanczos"))


def test_emphasis_and_the_negative_prompt_change_the_picture(host: StandaloneHost) -> None:
    plain = pictures(host)[0]
    stronger = pictures(host, replace(REQUEST, prompt=REQUEST.prompt.replace("blue shirt", "(blue shirt:1.6)")))[0]
    negative = pictures(host, replace(REQUEST, negative_prompt="blue shirt"))[0]
    assert distance(plain, stronger) > 5 < distance(plain, negative)


def test_a_prompt_longer_than_one_window_counts_to_its_end(host: StandaloneHost) -> None:
    long = "a shaded portrait, " * 40
    red, green = (replace(REQUEST, prompt=long + colour) for colour in ("red shirt", "green hair"))
    first, second = pictures(host, red)[0], pictures(host, green)[0]
    assert distance(first, second) > 5


def test_progress_is_told_step_by_step(host: StandaloneHost) -> None:
    seen: list[tuple[int, int]] = []
    list(host.generate(REQUEST, lambda step, total: seen.append((step, total))))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_cancelling_stops_between_two_steps_and_the_next_picture_works(host: StandaloneHost) -> None:
    def stop(step: int, total: int) -> None:
        if step == 1:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        list(host.generate(REQUEST, stop))
    assert len(pictures(host)) == 1


def test_a_lora_that_is_not_there_is_named_with_those_that_are(host: StandaloneHost) -> None:
    with pytest.raises(NotFound) as caught:
        pictures(host, replace(REQUEST, prompt="x <lora:nobody:1>"))
    assert "nobody" in caught.value.message and "none yet" in caught.value.hint


def test_what_a_library_raises_gets_a_name(host: StandaloneHost) -> None:
    with pytest.raises(GenerationFailed):
        pictures(host, replace(REQUEST, width_px=0))


@pytest.mark.slow
def test_redraw_keeps_everything_at_full_fidelity_and_repaints_below(host: StandaloneHost) -> None:
    image = pictures(host)[0].image[:50, :61]
    assert host.restorers()[-1] == "Redraw"
    kept, repainted = host.restore(image, "Redraw", 1.0), host.restore(image, "Redraw", 0.2)
    assert kept.shape == repainted.shape == image.shape and repainted.dtype == np.uint8
    assert np.abs(kept.astype(int) - image).mean() < 4 < np.abs(repainted.astype(int) - image).mean()


@pytest.mark.slow
def test_redraw_follows_the_prompt_and_passes_over_loras_that_are_gone(host: StandaloneHost) -> None:
    image = pictures(host)[0].image
    prompts = ("a red shirt", "green hair <lora:gone:1>")
    red, green = (host.restore(image, "Redraw", 0.0, prompt).astype(int) for prompt in prompts)
    assert np.abs(red - green).max() > 5


def test_a_restorer_that_is_not_installed_is_named(host: StandaloneHost) -> None:
    with pytest.raises(RestorerMissing, match="CodeFormer"):
        host.restore(np.zeros((64, 64, 3), np.uint8), "CodeFormer", 0.5)


def test_the_users_styles_are_read_from_the_webuis_format(tmp_path: Path) -> None:
    host = StandaloneHost(tmp_path)
    assert host.styles() == ()
    (tmp_path / "styles.csv").write_text(
        '\ufeffname,prompt,negative_prompt\nMy style,"oil, {prompt}",ugly\n---,,\nOther,neon,\n', encoding="utf-8"
    )
    assert [(style.id, style.prompt, style.negative_prompt) for style in host.styles()] == [
        ("own:my-style", "oil, {subject}", "ugly"), ("own:other", "{subject}, neon", ""),
    ]


@pytest.mark.parametrize("damage", ['Long,"' + "x" * 140_000 + '",', 'Open,"no end\n' + "line,\n" * 30_000])
def test_styles_before_the_place_that_cannot_be_read_are_kept(tmp_path: Path, damage: str) -> None:
    text = f"name,prompt,negative_prompt\nMine,ink,\nMINE,oil,\n{damage}\nOther,neon,\n"
    (tmp_path / "styles.csv").write_text(text, encoding="utf-8")
    first, second = StandaloneHost(tmp_path).styles()
    assert (first.name, second.name) == ("Mine", "MINE") and first.id != second.id


def test_the_data_folder_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "elsewhere"))
    assert default_data_folder() == tmp_path / "elsewhere"
    assert StandaloneHost().folders().loras.is_dir()
    monkeypatch.delenv(HOME_VARIABLE)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    if sys.platform == "linux":
        assert default_data_folder() == tmp_path / "xdg" / "personal-avatar"


def test_the_trainer_is_an_interpreter_that_finds_the_worker(host: StandaloneHost, tmp_path: Path) -> None:
    trainer = host.trainer()
    code = "import importlib.util, personal_avatar.training.planning.plan; assert importlib.util.find_spec('torch')"
    command = [str(trainer.executable), "-c", code]
    environment = {**os.environ, **dict(trainer.environment)}
    assert subprocess.run(command, env=environment, cwd=tmp_path, check=False).returncode == 0


def test_importing_and_asking_the_host_loads_no_heavy_library(tmp_path: Path) -> None:
    code = (
        "import sys; from personal_avatar.standalone.host import StandaloneHost; from pathlib import Path\n"
        f"host = StandaloneHost(Path({str(tmp_path)!r})); host.checkpoint(); host.restorers(); host.styles()\n"
        "print([name for name in ('torch', 'diffusers', 'transformers', 'gradio') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "extension")}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
