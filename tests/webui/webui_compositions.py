"""What a person in a picture has to get on with: arguments of a request, by what they are about."""
from __future__ import annotations

from tests.webui.webui_identity import SECOND, Settings, picture

HIRES = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent", "denoising_strength": 0.7}
REPAINTED = {"route": "img2img", "init_images": [picture()], "denoising_strength": 0.8}
COMPOSED: dict[str, Settings] = {
    "batch of two": {"batch_size": 2}, "two batches": {"n_iter": 2}, "both": {"batch_size": 2, "n_iter": 2},
    "hires fix": HIRES, "hires fix in batches": {**HIRES, "batch_size": 2},
    "refiner": {"refiner_checkpoint": SECOND.name, "refiner_switch_at": 0.5},
    "img2img": REPAINTED, "inpaint": {**REPAINTED, "mask": picture((0, 0, 32, 64))},
    "inpaint a part": {**REPAINTED, "mask": picture((16, 16, 48, 48)), "inpaint_full_res": True,
                       "inpaint_full_res_padding": 8},
    "and": {"prompt": "a portrait AND a blue hat :0.7"},
    "and with a batch": {"prompt": "a portrait AND a hat", "batch_size": 2},
    "prompt editing": {"prompt": "a [portrait:landscape:0.5] of [a|b]"},
    "long prompts": {"prompt": "a portrait, " * 60}, "long negative prompt": {"negative_prompt": "blurred, " * 60},
    "empty prompts": {"prompt": "", "negative_prompt": ""},
    "no guidance": {"cfg_scale": 1}, "negative guidance minimum": {"s_min_uncond": 9.0, "steps": 6},
    "skip early cfg": {"override_settings": {"skip_early_cond": 0.4}, "steps": 6},
    "no batched conds": {"override_settings": {"batch_cond_uncond": False}},
    "two model calls a step": {"sampler_name": "Heun"}, "stochastic": {"sampler_name": "DPM++ SDE"},
    "timesteps": {"sampler_name": "DDIM"}, "unipc": {"sampler_name": "UniPC"}, "plms": {"sampler_name": "PLMS"},
    "restart": {"sampler_name": "Restart"},
    "token merging": {"override_settings": {"token_merging_ratio": 0.5}, "width": 128, "height": 128},
    "token merging in the negative only": {"override_settings": {"token_merging_ratio_hr": 0.5}, **HIRES},
    "hypertile": {"override_settings": {"hypertile_enable_unet": True, "hypertile_max_depth_unet": 3,
                                        "hypertile_max_tile_unet": 32}, "width": 256, "height": 128},
    "tiling": {"tiling": True}, "another size": {"width": 96, "height": 128}, "odd size": {"width": 72, "height": 104},
    "clip skip": {"override_settings": {"CLIP_stop_at_last_layers": 2}},
    "variation": {"subseed": 8, "subseed_strength": 0.4}, "no negative": {"negative_prompt": ""},
}
