"""What sd-scripts prints is read as it comes, however the pipe cuts it."""
from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.training.engines.kohya.progress import Lines, Step, is_noise, step_of
from tqdm import tqdm

BAR = "steps:  67%|██████▋   | 2/3 [00:08<00:04,  4.05s/it, avr_loss=0.613]"
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)


def read(blocks: list[bytes]) -> list[str]:
    lines = Lines()
    return [line for block in blocks for line in lines.feed(block)] + list(lines.feed(b"", last=True))


def test_the_main_bar_tells_step_loss_and_pace() -> None:
    assert step_of(BAR) == Step(2, 3, 0.613, 4.05)


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("steps:   0%|          | 0/1600 [00:00<?, ?it/s]", Step(0, 1600, None, None)),
        ("steps:  50%|#####     | 800/1600 [1:06:40<1:06:40,  5.00s/it, loss=0.1]", Step(800, 1600, 0.1, 5.0)),
        ("steps:   1%|1         | 9/900 [00:02<03:42,  4.00it/s, avr_loss=1e-3]", Step(9, 900, 0.001, 0.25)),
        ("steps: 1%|| 9/900 [0:2<3:42, 4.00it/s, Average key norm=0.2, avr_loss=0.5]", Step(9, 900, 0.5, 0.25)),
    ],
)
def test_other_forms_of_the_bar(line: str, step: Step) -> None:
    assert step_of(line) == step


@pytest.mark.parametrize(
    "line",
    [
        "",
        "saving checkpoint: /job/anna-step00000002.safetensors",
        " 50%|█████     | 1/2 [00:06<00:06,  6.96s/it]",
        "read caption: 100%|██████████| 3/3 [00:00<00:00, 22631.14it/s]",
        "epoch validation steps:  50%|█████     | 1/2 [00:06<00:06,  6.96s/it, val_epoch_avg_loss=0.1]",
    ],
)
def test_other_lines_tell_no_step(line: str) -> None:
    assert step_of(line) is None


@pytest.mark.parametrize("word", ["nan", "inf", "-inf"])
def test_numbers_that_blew_up_are_noticed(word: str) -> None:
    step = step_of(BAR.replace("0.613", word))
    assert step is not None and step.blew_up
    assert not Step(1, 2, None, None).blew_up


@given(st.integers(1, 20000), st.data(), st.floats(0.001, 1e6), st.floats(1e-6, 1e6))
def test_whatever_tqdm_writes_is_read(total: int, data: st.DataObject, seconds: float, loss: float) -> None:
    done = data.draw(st.integers(1, total))
    shown = {"prefix": "steps", "ncols": None, "postfix": f"avr_loss={loss:.3g}"}
    step = step_of(tqdm.format_meter(done, total, seconds, **shown))
    assert step is not None
    assert (step.step, step.total, step.loss) == (done, total, float(f"{loss:.3g}"))
    if step.seconds_per_step is not None:
        assert math.isclose(step.seconds_per_step, seconds / done, rel_tol=0.02, abs_tol=0.01)


@given(st.lists(TEXT), st.lists(st.integers(0, 400)), st.sampled_from(["\n", "\r", "\r\n"]))
def test_lines_do_not_depend_on_how_the_pipe_cuts_them(texts: list[str], cuts: list[int], end: str) -> None:
    whole = "".join(text + end for text in texts).encode()
    places = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    blocks = [whole[start:stop] for start, stop in zip(places, places[1:], strict=False)]
    assert read(blocks) == read([whole])
    assert not any(mark in line for line in read(blocks) for mark in "\r\n")


@given(st.lists(st.binary(max_size=80)))
def test_any_bytes_are_read(blocks: list[bytes]) -> None:
    for line in read(blocks):
        step_of(line)
        is_noise(line)


def test_bars_below_bars_leave_no_trace() -> None:
    assert read([b"\x1b[A 50%|##  | 1/2 [00:06<00:06,  6.96s/it]\x1b[A\r\x1b[A\n", b"saved"])[-1] == "saved"
    assert all("\x1b" not in line for line in read([b"\x1b[31mred\x1b[0m\r", b"\x1b[A"]))


def test_a_line_without_end_does_not_grow_for_ever() -> None:
    lines = Lines()
    assert [len(line) for line in lines.feed(b"x" * 200_000)] == [200_000]


def test_bars_are_kept_out_of_the_log() -> None:
    assert is_noise(BAR)
    assert is_noise(" 50%|#####     | 1/2 [00:06<00:06,  6.96s/it]")
    assert not is_noise(BAR + "torch.OutOfMemoryError: CUDA out of memory.")
    assert not is_noise("bucket 0: resolution (256, 256), count: 3")
