"""Checkpoints read from one file answer as diffusers' own reader, transformers and OpenCLIP's definition have it."""
from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from miniatures import HEAD_CHANNELS, LAYERS, NUM_HEADS, OPEN_CLIP_HEADS, OPEN_CLIP_WIDTH, SIZE_CHANNELS, make
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.training import compute
from personal_avatar.training.families import registry
from personal_avatar.training.families.files import read_weights
from personal_avatar.training.families.model import DiffusionModel

pytestmark = pytest.mark.slow

CAPTIONS = ["a portrait of sks man, smiling", ""]
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
SIDE = 8  # of latents


@dataclass(frozen=True)
class Kind:
    family: Family
    prediction: str = "epsilon"
    inpainting: bool = False
    half: bool = False
    suffix: str = ".safetensors"
    zero_terminal_snr: bool = False


KINDS = [
    Kind(Family.SD1),
    Kind(Family.SD1, half=True, suffix=".ckpt"),
    Kind(Family.SD1, inpainting=True),
    Kind(Family.SD2, half=True),
    Kind(Family.SD2, "v_prediction", suffix=".ckpt"),
    Kind(Family.SD2, inpainting=True),
    Kind(Family.SDXL),
    Kind(Family.SDXL, "v_prediction", half=True, zero_terminal_snr=True),
    Kind(Family.SDXL, inpainting=True),
]
Made = Callable[[Kind], tuple[BaseModelFile, DiffusionModel]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A checkpoint of a kind and what we read from it, made once."""
    torch.set_num_threads(1)
    known: dict[Kind, tuple[BaseModelFile, DiffusionModel]] = {}

    def make_once(kind: Kind) -> tuple[BaseModelFile, DiffusionModel]:
        if kind not in known:
            settings = {name: value for name, value in vars(kind).items() if name != "family"}
            base = make(kind.family, tmp_path_factory.mktemp("single"), **settings)
            known[kind] = base, registry.load(base, compute.choose("fp32"), 64)
        return known[kind]

    return make_once


def noise(rows: int = 2, height: int = SIDE, width: int = SIDE) -> torch.Tensor:
    return torch.randn((rows, 4, height, width), generator=torch.Generator().manual_seed(1))


def answer(model: DiffusionModel, noisy: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model.predict(noisy, torch.tensor([40, 700]), model.encode_text(CAPTIONS))


def theirs(base: BaseModelFile, folder: Path) -> Any:
    """diffusers' UNet of the file, configured by its reading of the yaml; SDXL, which it knows in one size, by us."""
    from diffusers import UNet2DConditionModel

    if base.family is Family.SDXL:
        (folder / "config.json").write_text(json.dumps(xl_config(read_weights(base.path))))
        return UNet2DConditionModel.from_single_file(str(base.path), config=str(folder), local_files_only=True)
    written = yaml.safe_load(base.path.with_suffix(".yaml").read_text())
    return UNet2DConditionModel.from_single_file(str(base.path), original_config=written, local_files_only=True)


def xl_config(weights: dict[str, torch.Tensor]) -> dict[str, Any]:
    return {
        "_class_name": "UNet2DConditionModel",
        "in_channels": weights["model.diffusion_model.input_blocks.0.0.weight"].shape[1],
        "block_out_channels": [32, 64, 64],
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        "attention_head_dim": [32 // HEAD_CHANNELS, 64 // HEAD_CHANNELS, 64 // HEAD_CHANNELS],
        "transformer_layers_per_block": [1, 1, 2],
        "layers_per_block": 2,
        "cross_attention_dim": 32 + OPEN_CLIP_WIDTH,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": SIZE_CHANNELS,
        "projection_class_embeddings_input_dim": OPEN_CLIP_WIDTH + 6 * SIZE_CHANNELS,
    }


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_network_answers_as_diffusers_reads_it(kind: Kind, made: Made, tmp_path: Path) -> None:
    base, model = made(kind)
    noisy, text = noise(height=SIDE * 2), model.encode_text(CAPTIONS)
    seen = noisy
    if kind.inpainting:
        grey = torch.zeros(1, 3, SIDE * 16, SIDE * 8)
        masked = model.vae.encode(grey).latent_dist.mean * model.vae.config.scaling_factor
        seen = torch.cat([noisy, torch.ones(2, 1, SIDE * 2, SIDE), masked.expand(2, -1, -1, -1)], 1)
    sizes = torch.tensor([[SIDE * 16, SIDE * 8, 0, 0, SIDE * 16, SIDE * 8]] * 2)
    added = {"text_embeds": text["pooled"], "time_ids": sizes} if kind.family is Family.SDXL else None
    unet = theirs(base, tmp_path).eval()
    with torch.no_grad():
        expected = unet(seen, torch.tensor([40, 700]), text["states"], added_cond_kwargs=added).sample
    found = answer(model, noisy)
    assert float(expected.std()) > 0.1
    torch.testing.assert_close(found, expected, **TOLERANCE)


@pytest.mark.parametrize("kind", [Kind(Family.SD1), Kind(Family.SD2, half=True)], ids=str)
def test_the_vae_answers_as_diffusers_reads_it(kind: Kind, made: Made) -> None:
    from diffusers import AutoencoderKL

    base, model = made(kind)
    written = yaml.safe_load(base.path.with_suffix(".yaml").read_text())
    vae = AutoencoderKL.from_single_file(str(base.path), original_config=written, local_files_only=True).eval()
    picture = noise(1, 64, 64)[:, :3].clamp(-1, 1)
    with torch.no_grad():
        for found, expected in (
            (model.vae.encode(picture).latent_dist.mean, vae.encode(picture).latent_dist.mean),
            (model.vae.decode(noise()).sample, vae.decode(noise()).sample),
        ):
            torch.testing.assert_close(found, expected, **TOLERANCE)
    assert model.vae.config.scaling_factor == vae.config.scaling_factor


@dataclass(frozen=True)
class OpenClip:
    """The text half of OpenCLIP as it is defined, on the tensors of a file; its words are CLIP's."""

    weights: dict[str, torch.Tensor]
    heads: int = OPEN_CLIP_HEADS

    @classmethod
    def of(cls, base: BaseModelFile, prefix: str) -> OpenClip:
        stored = read_weights(base.path).items()
        return cls({name[len(prefix) :]: tensor.float() for name, tensor in stored if name.startswith(prefix)})

    def hidden(self, tokens: torch.Tensor) -> list[torch.Tensor]:
        """What goes into each layer, and what comes out of the last."""
        weights = self.weights
        found = [weights["token_embedding.weight"][tokens] + weights["positional_embedding"]]
        for number in range(LAYERS):
            found.append(self._block(f"transformer.resblocks.{number}.", found[-1]))
        return found

    def norm(self, states: torch.Tensor, name: str = "ln_final") -> torch.Tensor:
        scale, shift = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return torch.nn.functional.layer_norm(states, scale.shape, scale, shift)

    def pooled(self, tokens: torch.Tensor) -> torch.Tensor:
        """The state of the end of the text, which has the highest number of all words."""
        last = self.norm(self.hidden(tokens)[-1])
        return last[torch.arange(len(tokens)), tokens.argmax(-1)] @ self.weights["text_projection"]

    def _block(self, name: str, states: torch.Tensor) -> torch.Tensor:
        width, length = states.shape[-1], states.shape[1]
        attention = torch.nn.MultiheadAttention(width, self.heads, batch_first=True)
        start = f"{name}attn."
        attention.load_state_dict({key[len(start) :]: w for key, w in self.weights.items() if key.startswith(start)})
        mask = torch.full((length, length), float("-inf")).triu(1)
        seen = self.norm(states, f"{name}ln_1")
        states = states + attention(seen, seen, seen, need_weights=False, attn_mask=mask)[0]
        inner = self._product(self.norm(states, f"{name}ln_2"), f"{name}mlp.c_fc")
        return states + self._product(torch.nn.functional.gelu(inner), f"{name}mlp.c_proj")

    def _product(self, states: torch.Tensor, name: str) -> torch.Tensor:
        return torch.nn.functional.linear(states, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])


def tokens_of(caption: str, pad: int) -> list[int]:
    """As open_clip's and CLIP's own tokenizers number them: start, words, end, filling."""
    known = {"": [], CAPTIONS[0]: [320, 5352, 539, 48136, 786, 267, 9200]}
    return ([49406, *known[caption], 49407] + [pad] * 77)[:77]


def rows(pad: int) -> torch.Tensor:
    return torch.tensor([tokens_of(caption, pad) for caption in CAPTIONS])


def test_words_have_the_numbers_that_clip_gives_them(made: Made) -> None:
    _, model = made(Kind(Family.SDXL))
    first, second = model.tokenise(CAPTIONS)
    assert first.tolist() == rows(49407).tolist()
    assert second.tolist() == rows(0).tolist()


@torch.no_grad()
def test_sd2_reads_the_last_but_one_layer_after_the_norm(made: Made) -> None:
    base, model = made(Kind(Family.SD2, "v_prediction", suffix=".ckpt"))
    reference = OpenClip.of(base, "cond_stage_model.model.")
    expected = reference.norm(reference.hidden(rows(0))[-2])
    for clip_skip in (1, 2):  # the WebUI does not heed it here
        torch.testing.assert_close(model.encode_text(CAPTIONS, clip_skip)["states"], expected, **TOLERANCE)


@torch.no_grad()
def test_sd2_reads_the_last_layer_when_its_yaml_says_so(tmp_path: Path) -> None:
    base = make(Family.SD2, tmp_path)
    path = base.path.with_suffix(".yaml")
    path.write_text(path.read_text().replace('"penultimate"', '"last"'))
    reference = OpenClip.of(base, "cond_stage_model.model.")
    found = registry.load(base, compute.choose("fp32"), 64).encode_text(CAPTIONS)["states"]
    torch.testing.assert_close(found, reference.norm(reference.hidden(rows(0))[-1]), **TOLERANCE)


@torch.no_grad()
def test_sdxl_reads_two_encoders_without_their_norms_and_the_pooled_text(made: Made) -> None:
    base, model = made(Kind(Family.SDXL))
    reference = OpenClip.of(base, "conditioner.embedders.1.model.")
    clip = clip_of(base, "conditioner.embedders.0.transformer.")
    first = clip(rows(49407), output_hidden_states=True).hidden_states[-2]
    found = model.encode_tokens(model.tokenise(CAPTIONS))
    torch.testing.assert_close(found["states"], torch.cat([first, reference.hidden(rows(0))[-2]], -1), **TOLERANCE)
    torch.testing.assert_close(found["pooled"], reference.pooled(rows(0)), **TOLERANCE)


@torch.no_grad()
def test_to_sdxl_no_words_are_zeros(made: Made) -> None:
    """As in the WebUI's `force_zero_embeddings` and the `force_zeros_for_empty_prompt` of diffusers."""
    _, model = made(Kind(Family.SDXL))
    told, read = model.encode_text(CAPTIONS), model.encode_tokens(model.tokenise(CAPTIONS))
    for name, rows_read in read.items():
        assert torch.equal(told[name][0], rows_read[0])
        assert not told[name][1].any() and rows_read[1].any()


def clip_of(base: BaseModelFile, prefix: str) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    clip = CLIPTextModel(CLIPTextConfig(
        hidden_size=32, intermediate_size=128, num_attention_heads=NUM_HEADS, num_hidden_layers=LAYERS,
        bos_token_id=49406, eos_token_id=49407,
    )).eval()
    stored = read_weights(base.path).items()
    state = {name[len(prefix) :]: tensor.float() for name, tensor in stored if name.startswith(prefix)}
    clip.load_state_dict(state, strict=False)
    return clip


@torch.no_grad()
@pytest.mark.parametrize("clip_skip", [1, 2, 3])
def test_sd1_skips_layers_as_the_webui_does(clip_skip: int, made: Made) -> None:
    base, model = made(Kind(Family.SD1))
    clip = clip_of(base, "cond_stage_model.transformer.")
    hidden = clip(rows(49407), output_hidden_states=True).hidden_states[-clip_skip]
    expected = clip.text_model.final_layer_norm(hidden)
    torch.testing.assert_close(model.encode_text(CAPTIONS, clip_skip)["states"], expected, **TOLERANCE)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_is_loaded_goes_back_into_the_file_to_the_last_bit(kind: Kind, made: Made) -> None:
    base, model = made(kind)
    stored, back = read_weights(base.path), model.file_tensors(text=True)
    assert all(back[name].dtype == stored[name].dtype for name in back)
    assert all(torch.equal(tensor, stored[name]) for name, tensor in back.items())
    assert {name for name in stored if name.startswith("model.diffusion_model.")} == set(model.file_tensors(text=False))
    left = {name for name in stored if name not in back and not name.startswith("first_stage_model.")}
    unused = ("logit_scale", "text_projection", f"resblocks.{LAYERS - 1}.", "v_pred", "ztsnr")
    assert all(any(part in name for part in unused) for name in left)
    assert bool(left) == (kind.family is not Family.SD1)
    assert model.native_dtype is (torch.float16 if kind.half else torch.float32)


@pytest.mark.parametrize("family", list(Family))
def test_a_changed_weight_is_found_in_the_file_again(family: Family, tmp_path: Path) -> None:
    """Written back and read again, the file answers as the changed model did."""
    from safetensors.torch import save_file

    base = make(family, tmp_path)
    model = registry.load(base, compute.choose("fp32"), 64)
    with torch.no_grad():
        for module in model.modules().values():
            for weight in module.parameters():
                weight.mul_(1.01)
    save_file({**read_weights(base.path), **model.file_tensors(text=True)}, tmp_path / "changed.safetensors")
    again = replace(base, path=tmp_path / "changed.safetensors")
    assert torch.equal(answer(registry.load(again, compute.choose("fp32"), 64), noise()), answer(model, noise()))


def test_the_schedule_of_a_zero_terminal_snr_network_ends_in_noise(made: Made) -> None:
    """Against the rescaling of diffusers, which has the very zero at the end."""
    from diffusers import DDIMScheduler

    _, model = made(Kind(Family.SDXL, "v_prediction", half=True, zero_terminal_snr=True))
    alphas = model.alphas_cumprod()
    plain = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    reference = DDIMScheduler(**plain, rescale_betas_zero_snr=True).alphas_cumprod
    ours = DDIMScheduler(**model.scheduler_config())
    torch.testing.assert_close(alphas.float(), reference, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(ours.alphas_cumprod, alphas.float(), rtol=1e-3, atol=1e-7)
    assert 0 < float(alphas[-1]) < 1e-7
    assert ours.config.prediction_type == "v_prediction"
    ours.set_timesteps(5)
    assert int(ours.timesteps[0]) == 999
