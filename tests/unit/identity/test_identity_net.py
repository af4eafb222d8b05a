"""The IdentityNet: what is kept gives the same as what is made anew, people share, and files are told apart."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from personal_avatar.errors import BaseUnsupported, WeightsCorrupt, WeightsMissing
from personal_avatar.identity.net import Context, IdentityNet, load_net
from personal_avatar.identity.nouns import Tokens
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.miniature_adapters import make_identitynet

Residuals = tuple[list[Tensor], Tensor]
SIDE = 8


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_identitynet(tmp_path_factory.mktemp("net"))


@pytest.fixture(scope="module")
def net(path: Path) -> IdentityNet:
    return load_net(path, "cpu", torch.float32)


def tokens(net: IdentityNet, seed: int) -> Tokens:
    generator = torch.Generator().manual_seed(seed)
    cond, uncond = torch.randn(2, 1, 16, net.token_width, generator=generator)
    return Tokens(cond, uncond)


def run(net: IdentityNet, context: Context, conditional: tuple[bool, ...], hint: Tensor | None = None) -> Residuals:
    generator = torch.Generator().manual_seed(7)
    x, y = torch.randn(1, 4, SIDE, SIDE, generator=generator), torch.randn(1, net.label_width, generator=generator)
    rows = len(conditional)
    features = net.hint(picture(1)) if hint is None else hint
    timesteps = torch.full((rows,), 321.5)
    return net.residuals(
        x.expand(rows, -1, -1, -1), timesteps, y.expand(rows, -1), features, context, conditional
    )


def picture(seed: int) -> Tensor:
    return torch.rand(1, 3, 8 * SIDE, 8 * SIDE, generator=torch.Generator().manual_seed(seed))


def equal(one: Residuals, other: Residuals) -> bool:
    pairs = zip([*one[0], one[1]], [*other[0], other[1]], strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def close(one: Residuals, other: Residuals) -> bool:
    pairs = zip([*one[0], one[1]], [*other[0], other[1]], strict=True)
    return all(torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in pairs)


def half(side: str) -> Tensor:
    mask = torch.zeros(1, 64, 64)
    columns = slice(0, 32) if side == "left" else slice(32, 64)
    mask[..., columns] = 1.0
    return mask


def test_what_is_kept_gives_the_same_bits_as_what_is_made_anew(net: IdentityNet) -> None:
    people = [(tokens(net, 1), half("left")), (tokens(net, 2), None)]
    context, hint = net.context(people), net.hint(picture(1))
    runs = [run(net, context, (True, False), hint) for _ in range(3)]
    assert all(equal(one, run(net, net.context(people), (True, False), net.hint(picture(1)))) for one in runs)


def test_rows_do_not_know_of_each_other(net: IdentityNet) -> None:
    context = net.context([(tokens(net, 1), None)])
    mixed = run(net, context, (True, False, True))
    for row, mark in enumerate((True, False, True)):
        alone = run(net, context, (mark,))
        assert close(([one[row : row + 1] for one in mixed[0]], mixed[1][row : row + 1]), alone)
    assert not close(run(net, context, (True,)), run(net, context, (False,)))


def test_a_single_person_acts_everywhere_whatever_the_mask(net: IdentityNet) -> None:
    assert equal(
        run(net, net.context([(tokens(net, 1), half("left"))]), (True,)),
        run(net, net.context([(tokens(net, 1), None)]), (True,)),
    )


@pytest.mark.parametrize("masks", [(None, None), (half("left"), half("right")), (torch.zeros(5, 7), None)])
def test_two_times_the_same_person_is_that_person(net: IdentityNet, masks: tuple[Tensor | None, ...]) -> None:
    """Shares sum to one everywhere, also where nobody's mask is."""
    same = net.context([(tokens(net, 1), mask) for mask in masks])
    assert close(run(net, same, (True, False)), run(net, net.context([(tokens(net, 1), None)]), (True, False)))


def test_a_mask_over_everything_leaves_nothing_to_the_other_person(net: IdentityNet) -> None:
    everything, nothing = torch.ones(1, 16, 16), torch.zeros(1, 16, 16)
    both = net.context([(tokens(net, 1), everything), (tokens(net, 2), nothing)])
    assert close(run(net, both, (True,)), run(net, net.context([(tokens(net, 1), None)]), (True,)))


def test_people_are_told_apart_by_their_sides(net: IdentityNet) -> None:
    one, other = tokens(net, 1), tokens(net, 2)
    ahead = run(net, net.context([(one, half("left")), (other, half("right"))]), (True,))
    swapped = run(net, net.context([(other, half("right")), (one, half("left"))]), (True,))
    crossed = run(net, net.context([(one, half("right")), (other, half("left"))]), (True,))
    assert close(ahead, swapped)
    assert not close(ahead, crossed)


def test_shares_sum_to_one_at_every_place_and_size(net: IdentityNet) -> None:
    masks = [torch.rand(11, 17) * (torch.rand(11, 17) > 0.6), half("left"), half("right") * 1e-6]
    context = net.context([(tokens(net, seed), mask) for seed, mask in enumerate(masks)])
    for height, width in ((8, 8), (5, 7), (128, 128), (1, 1)):
        shares = context.shares(height, width)
        assert shares is not None and shares.shape == (3, height * width, 1)
        assert torch.allclose(shares.sum(dim=0), torch.ones(height * width, 1), atol=1e-5)
        assert (shares >= 0).all()


def test_nothing_that_was_handed_in_is_changed(net: IdentityNet) -> None:
    face, mask, hint = tokens(net, 1), half("left"), net.hint(picture(1))
    copies = [one.clone() for one in (face.cond, face.uncond, mask, hint)]
    run(net, net.context([(face, mask), (tokens(net, 2), None)]), (True, False), hint)
    assert all(torch.equal(one, copy) for one, copy in zip((face.cond, face.uncond, mask, hint), copies, strict=True))


def test_autocast_of_the_host_does_not_touch_it(net: IdentityNet) -> None:
    context = net.context([(tokens(net, 1), None)])
    plain = run(net, context, (True, False))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert equal(run(net, net.context([(tokens(net, 1), None)]), (True, False)), plain)


def test_no_gradients_are_kept(net: IdentityNet) -> None:
    skips, middle = run(net, net.context([(tokens(net, 1), None)]), (True,))
    assert not any(one.requires_grad for one in [*skips, middle, *net.parameters()])


def test_sizes_that_do_not_fit_are_told(net: IdentityNet) -> None:
    context = net.context([(tokens(net, 1), None)])
    with pytest.raises(ValueError, match="do not fit"):
        run(net, context, (True,), net.hint(torch.rand(1, 3, 64, 128)))
    with pytest.raises(ValueError, match="somebody's tokens"):
        net.context([])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.bfloat16])
def test_a_file_is_read_in_any_number_format(dtype: torch.dtype, tmp_path: Path) -> None:
    stored = make_identitynet(tmp_path, half=True)
    read = load_net(stored, torch.device("cpu"), dtype)
    assert (read.dtype, read.device.type) == (dtype, "cpu")
    assert {weight.dtype for weight in read.parameters()} == {dtype}
    wanted = load_file(stored)
    assert all(torch.equal(weight, wanted[name].to(dtype)) for name, weight in read.state_dict().items())


def test_a_suffix_in_capitals_is_read_too(path: Path, tmp_path: Path, net: IdentityNet) -> None:
    loud = tmp_path / "net.SAFETENSORS"
    loud.write_bytes(path.read_bytes())
    read = load_net(loud, "cpu", torch.float32)
    assert all(torch.equal(weight, read.state_dict()[name]) for name, weight in net.state_dict().items())


def test_it_does_not_hold_on_to_its_file(tmp_path: Path) -> None:
    stored = make_identitynet(tmp_path)
    read = load_net(stored, "cpu", torch.float32)
    before = {name: weight.clone() for name, weight in read.state_dict().items()}
    stored.write_bytes(bytes(stored.stat().st_size))
    assert all(torch.equal(weight, before[name]) for name, weight in read.state_dict().items())


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"absent\.safetensors"):
        load_net(tmp_path / "absent.safetensors", "cpu", torch.float32)


def test_a_torn_file_is_told(path: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(WeightsCorrupt, match=r"torn\.safetensors is no IdentityNet"):
        load_net(torn, "cpu", torch.float32)


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_another_network_is_told(suffix: str, tmp_path: Path) -> None:
    other, tensors = tmp_path / f"lora{suffix}", {"lora.down.weight": torch.zeros(4, 8)}
    if suffix == ".bin":
        torch.save(tensors, other)
    else:
        save_file(tensors, other)
    with pytest.raises(WeightsCorrupt, match="is no IdentityNet"):
        load_net(other, "cpu", torch.float32)


def test_a_pickle_with_more_than_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"conv_in.weight": torch.zeros(1), "more": Path}, tmp_path / "net.bin")
    with pytest.raises(BaseUnsupported, match="wants to run"):
        load_net(tmp_path / "net.bin", "cpu", torch.float32)


CHANGES = {
    "mid_block.resnets.1.conv2.weight": (None, "mid_block.resnets.1.conv2.weight is missing"),
    "controlnet_down_blocks.3.bias": (None, "1 tensors are missing, such as controlnet_down_blocks.3.bias"),
    "mid_block.attentions.0.transformer_blocks.0.attn1.to_q.bias": (torch.zeros(64), "1 tensors are not known"),
    "stray.weight": (torch.zeros(2), "1 tensors are not known, such as stray.weight"),
    "conv_in.bias": (torch.zeros(31), "conv_in.bias has the shape"),
    "conv_in.weight": (torch.zeros(32, 4), "has the shape"),
    "add_embedding.linear_2.weight": (torch.zeros(128, 60), "do not fit together"),
    "controlnet_cond_embedding.conv_out.weight": (torch.zeros(32, 7, 3, 3), "do not fit together"),
    "down_blocks.0.resnets.0.norm1.weight": (torch.zeros(33), "which 32 groups do not divide"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_network_with_a_fault_is_told_when_it_is_loaded(name: str, path: Path, tmp_path: Path) -> None:
    tensors = load_file(path)
    tensor, words = CHANGES[name]
    if tensor is None:
        tensors.pop(name)
    else:
        tensors[name] = tensor
    save_file(tensors, tmp_path / "fault.safetensors")
    with pytest.raises(WeightsCorrupt, match=words):
        load_net(tmp_path / "fault.safetensors", "cpu", torch.float32)


@pytest.mark.parametrize("config", ["no json", "[1]", '{"_class_name": "UNet2DConditionModel"}'])
def test_a_config_of_something_else_does_not_count(config: str, path: Path, tmp_path: Path, net: IdentityNet) -> None:
    alone = tmp_path / path.name
    alone.write_bytes(path.read_bytes())
    (tmp_path / "config.json").write_text(config)
    read = load_net(alone, "cpu", torch.float32)
    context = [(tokens(net, 1), None)]
    assert equal(run(read, read.context(context), (True,)), run(net, net.context(context), (True,)))


def test_all_of_it_moves_to_another_device(path: Path) -> None:
    net = load_net(path, "cpu", torch.float32)
    assert net.to("meta") is net
    assert net.device.type == "meta"
    assert {weight.device.type for weight in net.state_dict().values()} == {"meta"}
