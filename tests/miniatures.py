"""Miniature checkpoints of every kind with random weights, in the true layout, that the WebUI can load too.

`make` writes the checkpoint, its yaml, and beside them in `miniature-text/` the files that the yaml points to:
tokenizer and size of the CLIP-L text encoder, and (for SD2 and SDXL) `miniature-open-clip.json`, a model configuration
that must be made known to open_clip (`open_clip.add_model_config(path)`) in the process that loads the checkpoint
through the WebUI.
"""
from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import personal_avatar
from ldm_layout import CLIP_L, OPEN_CLIP, XL_CLIP_L, XL_OPEN_CLIP, Shapes, Size, Tower, shapes_of
from personal_avatar.domain import BaseModelFile, Family

TOKENIZER = Path(personal_avatar.__file__).parent / "assets" / "avatar-tiny" / "diffusers" / "tokenizer"
OPEN_CLIP_ARCH = "miniature-open-clip"
NATIVE_PX = 64
NUM_HEADS, HEAD_CHANNELS = 2, 16
OPEN_CLIP_WIDTH, OPEN_CLIP_HEADS, LAYERS = 128, 2, 2
SIZE_CHANNELS = 16  # of each of SDXL's six size numbers
_SMALL = Size(
    unet=(32, 64), depth=(1, 0), context=32, vae=(32, 32, 32, 32), towers=(Tower(CLIP_L, False, 32, LAYERS),)
)
SIZES = {
    Family.SD1: _SMALL,
    Family.SD2: replace(
        _SMALL, context=OPEN_CLIP_WIDTH, linear_projection=True,
        towers=(Tower(OPEN_CLIP, True, OPEN_CLIP_WIDTH, LAYERS),),
    ),
    Family.SDXL: replace(
        _SMALL, unet=(32, 64, 64), depth=(0, 1, 2), context=32 + OPEN_CLIP_WIDTH, linear_projection=True,
        label=OPEN_CLIP_WIDTH + 6 * SIZE_CHANNELS,
        towers=(Tower(XL_CLIP_L, False, 32, LAYERS), Tower(XL_OPEN_CLIP, True, OPEN_CLIP_WIDTH, LAYERS)),
    ),
}
MINIATURE = SIZES[Family.SD1]


def make(
    family: Family,
    folder: Path,
    *,
    prediction: str = "epsilon",
    zero_terminal_snr: bool = False,
    inpainting: bool = False,
    half: bool = False,
    suffix: str = ".safetensors",
    name: str = "miniature",
    seed: int = 0,
) -> BaseModelFile:
    """Write `<name><suffix>` and its yaml into `folder`. SDXL says "v_prediction" by the key `v_pred`, SD2 by its yaml.

    `half`: fp16, else fp32. The same arguments give the same weights.
    """
    size = replace(SIZES[family], channels=9 if inpainting else 4)
    weights = random_weights(shapes_of(size), half, seed)
    velocity = prediction == "v_prediction"
    weights |= _marks(velocity and family is Family.SDXL, zero_terminal_snr)
    path = folder / f"{name}{suffix}"
    write_weights(path, weights)
    path.with_suffix(".yaml").write_text(json.dumps({"model": _yaml(family, size, velocity, _text_files(folder))}))
    return BaseModelFile(
        path, name, family, prediction=prediction, config=path.with_suffix(".yaml"), native_px=NATIVE_PX,
        zero_terminal_snr=zero_terminal_snr,
    )


def random_weights(shapes: Shapes, half: bool = False, seed: int = 0) -> dict[str, Any]:
    """Weights that keep the size of what passes through them; norms near one; no two tensors alike."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    found = {name: _random(name, shape, generator) for name, shape in shapes.items()}
    return {name: weight.half() if half else weight for name, weight in found.items()}


def _random(name: str, shape: tuple[int, ...], generator: Any) -> Any:
    import torch

    noise = torch.randn(shape, generator=generator)
    if len(shape) < 2:
        is_scale = name.endswith("weight")  # only norms have weights of one dimension
        return noise * 0.1 + is_scale
    return noise / noise[0].numel() ** 0.5


def _marks(v_pred: bool, ztsnr: bool) -> dict[str, Any]:
    """Tensors that only say something by being there."""
    import torch

    return {name: torch.tensor([]) for name, wanted in (("v_pred", v_pred), ("ztsnr", ztsnr)) if wanted}


def write_weights(path: Path, weights: dict[str, Any]) -> None:
    """safetensors, or a pickle of `{"state_dict": ...}` as `.ckpt` files have it."""
    import torch
    from safetensors.torch import save_file

    if path.suffix == ".safetensors":
        save_file(weights, path, {"format": "pt"})
    else:
        torch.save({"state_dict": weights, "global_step": 0}, path)


def _text_files(folder: Path) -> Path:
    """Tokenizer, size of CLIP-L, and the open_clip configuration of that name."""
    target = folder / "miniature-text"
    if not target.is_dir():
        shutil.copytree(TOKENIZER, target)
        written = json.loads((target / "config.json").read_text())
        sizes = {"hidden_size": 32, "intermediate_size": 128, "projection_dim": 32, "num_attention_heads": NUM_HEADS}
        (target / "config.json").write_text(json.dumps({**written, **sizes, "num_hidden_layers": LAYERS}))
        (target / f"{OPEN_CLIP_ARCH}.json").write_text(json.dumps(open_clip_config()))
    return target


def open_clip_config() -> dict[str, Any]:
    """What `open_clip.add_model_config` wants; its picture half is dropped by the WebUI and as small as can be."""
    return {
        "embed_dim": OPEN_CLIP_WIDTH,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "head_width": 64, "patch_size": 32},
        "text_cfg": {
            "context_length": 77, "vocab_size": 49408, "width": OPEN_CLIP_WIDTH, "heads": OPEN_CLIP_HEADS,
            "layers": LAYERS,
        },
    }


def _yaml(family: Family, size: Size, velocity: bool, text: Path) -> dict[str, Any]:
    """`model` of the WebUI's configuration (JSON is YAML)."""
    return _xl_model(size, velocity, text) if family is Family.SDXL else _model(family, size, velocity, text)


def _model(family: Family, size: Size, velocity: bool, text: Path) -> dict[str, Any]:
    sd2, inpainting = family is Family.SD2, size.channels == 9
    latent = "LatentInpaintDiffusion" if inpainting else "LatentDiffusion"
    return {
        "base_learning_rate": 1e-4,
        "target": f"ldm.models.diffusion.ddpm.{latent}",
        "params": {
            "parameterization": "v" if velocity else "eps",
            "linear_start": 0.00085, "linear_end": 0.012, "num_timesteps_cond": 1, "log_every_t": 200,
            "timesteps": 1000, "first_stage_key": "jpg", "cond_stage_key": "txt", "image_size": NATIVE_PX // 8,
            "channels": 4, "cond_stage_trainable": False, "monitor": "val/loss_simple_ema", "scale_factor": 0.18215,
            "use_ema": False, "conditioning_key": "hybrid" if inpainting else "crossattn",
            **({"finetune_keys": None} if inpainting else {}),
            "unet_config": {
                "target": "ldm.modules.diffusionmodules.openaimodel.UNetModel",
                "params": {
                    **_unet(size), "transformer_depth": 1, "image_size": NATIVE_PX // 8,
                    **({"num_head_channels": HEAD_CHANNELS} if sd2 else {"num_heads": NUM_HEADS}),
                },
            },
            "first_stage_config": {"target": "ldm.models.autoencoder.AutoencoderKL", "params": _vae(size)},
            "cond_stage_config": _open_clip("ldm.modules.encoders.modules.FrozenOpenCLIPEmbedder")
            if sd2
            else {"target": "ldm.modules.encoders.modules.FrozenCLIPEmbedder", "params": {"version": text.as_posix()}},
        },
    }


def _xl_model(size: Size, velocity: bool, text: Path) -> dict[str, Any]:
    scaling, denoiser = "VScaling" if velocity else "EpsScaling", "sgm.modules.diffusionmodules"
    encoders = "sgm.modules.encoders.modules"
    clip_l = {"version": text.as_posix(), "layer": "hidden", "layer_idx": LAYERS - 1}
    sizes = ("original_size_as_tuple", "crop_coords_top_left", "target_size_as_tuple")
    return {
        "target": "sgm.models.diffusion.DiffusionEngine",
        "params": {
            "scale_factor": 0.13025,
            "disable_first_stage_autocast": True,
            "denoiser_config": {
                "target": f"{denoiser}.denoiser.DiscreteDenoiser",
                "params": {
                    "num_idx": 1000,
                    "weighting_config": {"target": f"{denoiser}.denoiser_weighting.EpsWeighting"},
                    "scaling_config": {"target": f"{denoiser}.denoiser_scaling.{scaling}"},
                    "discretization_config": {"target": f"{denoiser}.discretizer.LegacyDDPMDiscretization"},
                },
            },
            "network_config": {
                "target": f"{denoiser}.openaimodel.UNetModel",
                "params": {
                    **_unet(size), "adm_in_channels": size.label, "num_classes": "sequential",
                    "num_head_channels": HEAD_CHANNELS, "transformer_depth": [depth or 1 for depth in size.depth],
                    "spatial_transformer_attn_type": "softmax-xformers",
                },
            },
            "conditioner_config": {
                "target": "sgm.modules.GeneralConditioner",
                "params": {
                    "emb_models": [
                        _embedder("txt", f"{encoders}.FrozenCLIPEmbedder", clip_l),
                        _embedder("txt", **_open_clip(f"{encoders}.FrozenOpenCLIPEmbedder2", xl=True)),
                        *(
                            _embedder(key, f"{encoders}.ConcatTimestepEmbedderND", {"outdim": SIZE_CHANNELS})
                            for key in sizes
                        ),
                    ]
                },
            },
            "first_stage_config": {
                "target": "sgm.models.autoencoder.AutoencoderKLInferenceWrapper", "params": _vae(size),
            },
        },
    }


def _embedder(input_key: str, target: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"is_trainable": False, "input_key": input_key, "target": target, "params": params}


def _open_clip(target: str, xl: bool = False) -> dict[str, Any]:
    more = {"always_return_pooled": True, "legacy": False} if xl else {}
    params = {"arch": OPEN_CLIP_ARCH, "version": "none", "freeze": True, "layer": "penultimate", **more}
    return {"target": target, "params": params}


def _unet(size: Size) -> dict[str, Any]:
    width = size.unet[0]
    return {
        "in_channels": size.channels, "out_channels": 4, "model_channels": width, "num_res_blocks": 2,
        "attention_resolutions": [2**level for level, depth in enumerate(size.depth) if depth],
        "channel_mult": [one // width for one in size.unet], "use_spatial_transformer": True,
        "use_linear_in_transformer": size.linear_projection, "context_dim": size.context,
        "use_checkpoint": False, "legacy": False,
    }


def _vae(size: Size) -> dict[str, Any]:
    width = size.vae[0]
    return {
        "embed_dim": 4,
        "monitor": "val/rec_loss",
        "ddconfig": {
            "double_z": True, "z_channels": 4, "resolution": NATIVE_PX, "in_channels": 3, "out_ch": 3, "ch": width,
            "ch_mult": [one // width for one in size.vae], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0,
        },
        "lossconfig": {"target": "torch.nn.Identity"},
    }
