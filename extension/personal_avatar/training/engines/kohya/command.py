"""Plan -> command line of sd-scripts. Nothing here starts anything: the same order gives the same words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from personal_avatar.captions.tokens import MOST
from personal_avatar.domain import BaseModelFile, Family, Method
from personal_avatar.training.engines.kohya.outputs import OUTPUT_NAME, PICTURES_NAME, save_every
from personal_avatar.training.engines.kohya.pictures import TOKEN
from personal_avatar.training.evaluation.samples import Shot
from personal_avatar.training.families.windows import WINDOW
from personal_avatar.training.losses import is_velocity
from personal_avatar.training.optimisers import BETAS
from personal_avatar.training.planning.optimiser_facts import OPTIMISERS
from personal_avatar.training.planning.plan import LoraPlan, TextualInversionPlan, TrainPlan
from personal_avatar.training.planning.rates import has_own_schedule
from personal_avatar.training.planning.schedule import LAST_RATE

Arguments = dict[str, Any]
SCRIPTS = {
    Method.LORA: "train_network.py",
    Method.DREAMBOOTH_LORA: "train_network.py",
    Method.DREAMBOOTH: "train_db.py",
    Method.TEXTUAL_INVERSION: "train_textual_inversion.py",
}
SDXL_SCRIPTS = {**{method: f"sdxl_{name}" for method, name in SCRIPTS.items()}, Method.DREAMBOOTH: "sdxl_train.py"}
SAMPLER = "dpmsolver++"


@dataclass(frozen=True)
class Order:
    """What is to be trained. `base.prediction` is certain; `name`: stem of the files; `folder`: of this engine in the
    job. `mixed_precision`: "no", "fp16" or "bf16". `fused_attention`: torch's own kernel. `longest`: tokens of the
    longest caption."""

    base: BaseModelFile
    method: Method
    plan: TrainPlan
    class_noun: str
    resolution_px: int
    total_steps: int
    mixed_precision: str
    name: str
    folder: Path
    fused_attention: bool = True
    longest: int = 0

    @property
    def dataset_file(self) -> Path:
        return self.folder / "dataset.toml"

    @property
    def prompts_file(self) -> Path:
        return self.folder / "prompts.txt"

    @property
    def tokenizers(self) -> Path:
        return self.folder / "tokenizers"

    @property
    def pictures(self) -> Path:
        return self.folder / PICTURES_NAME

    @property
    def output(self) -> Path:
        return self.folder / OUTPUT_NAME

    @property
    def samples(self) -> Path:
        return self.output / "sample"

    @property
    def is_sdxl(self) -> bool:
        return self.base.family is Family.SDXL

    @property
    def max_token_length(self) -> int | None:
        """To how many tokens captions are cut or filled up; None: to those of one window, as it does by itself."""
        if self.longest <= WINDOW:
            return None
        return 2 * WINDOW if self.longest <= 2 * WINDOW else MOST

    @property
    def batches(self) -> tuple[int, int]:
        """(pictures a batch, batches a step). Half of the pictures hold the class where there is a prior: twice as many
        show the person as often as our loop does. SD1 and SD2 scripts can compare with the checkpoint's own answers
        only when all pictures of a batch do: one picture at a time, and so many batches a step more."""
        plan = self.plan
        batches = plan.accumulate * (2 if plan.prior_weight > 0 else 1)
        single = plan.own_answers and not self.is_sdxl
        return (1, plan.batch_size * batches) if single else (plan.batch_size, batches)


def command(order: Order) -> list[str]:
    """Name of the script and its arguments."""
    scripts = SDXL_SCRIPTS if order.is_sdxl else SCRIPTS
    return [scripts[order.method], *words(arguments(order))]


def words(arguments: Arguments) -> list[str]:
    """`--name value ...`; a true value is a bare switch, what is None or false is left out."""
    found: list[str] = []
    for name, value in arguments.items():
        if value is None or value is False:
            continue
        if isinstance(value, str) and value.startswith("-"):  # which would be read as an option
            found.append(f"--{name}={value}")
            continue
        found.append(f"--{name}")
        if value is not True:
            found += [str(each) for each in value] if isinstance(value, (list, tuple)) else [_text(value)]
    return found


def _text(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def arguments(order: Order) -> Arguments:
    """Name -> value of every argument."""
    parts = (_checkpoint, _run, _optimiser, _loss, _files, METHODS[order.method])
    return {name: value for part in parts for name, value in part(order).items()}


def _checkpoint(order: Order) -> Arguments:
    base = order.base
    velocity = is_velocity(base.prediction)
    return {
        "pretrained_model_name_or_path": str(base.path),
        "vae": str(base.vae) if base.vae else None,
        "v2": base.family is Family.SD2,
        "v_parameterization": velocity,
        "zero_terminal_snr": velocity and base.zero_terminal_snr,
        "tokenizer_cache_dir": str(order.tokenizers),
        "clip_skip": order.plan.clip_skip if order.plan.clip_skip > 1 else None,
        "no_half_vae": True,
        "sdpa": order.fused_attention,
    }


def _run(order: Order) -> Arguments:
    return {
        "dataset_config": str(order.dataset_file),
        "train_batch_size": order.batches[0],
        "gradient_accumulation_steps": order.batches[1],
        "gradient_checkpointing": order.plan.gradient_checkpointing,
        "max_train_steps": order.total_steps,
        "max_data_loader_n_workers": 0,
        "max_token_length": order.max_token_length,
        "cache_latents": True,
        "cache_text_encoder_outputs": _same_captions_always(order),
        "mixed_precision": order.mixed_precision,
        "seed": order.plan.seed,
    }


def _same_captions_always(order: Order) -> bool:
    """SDXL scripts can encode captions once when nothing changes them."""
    plan = order.plan
    return order.is_sdxl and not (plan.trains_text or plan.caption_dropout > 0 or plan.shuffle_captions)


def _optimiser(order: Order) -> Arguments:
    plan = order.plan
    chosen = {"optimizer_type": OPTIMISERS[plan.optimiser].sd_scripts, "optimizer_args": _optimiser_settings(plan)}
    schedule = {} if has_own_schedule(plan) else _schedule(plan)
    return {"learning_rate": plan.learning_rate, **chosen, **schedule}


def _optimiser_settings(plan: TrainPlan) -> list[str]:
    """The same as in optimisers.py."""
    settings = [f"weight_decay={plan.weight_decay:.10g}"]
    if plan.optimiser == "adafactor":
        return [*settings, "relative_step=False", "scale_parameter=False", "warmup_init=False"]
    settings.append(f"betas={BETAS[0]:g},{BETAS[1]:g}")
    if plan.optimiser == "prodigy":
        settings += ["use_bias_correction=True", f"safeguard_warmup={plan.warmup_steps > 0}"]
    if plan.optimiser == "schedulefree":
        settings += [f"warmup_steps={plan.warmup_steps}", "foreach=False"]
    return settings


def _schedule(plan: TrainPlan) -> Arguments:
    """The same curve as schedule.rate_factor. A plain constant schedule refuses a warm-up."""
    if plan.schedule == "cosine":
        floor = {"lr_scheduler_min_lr_ratio": LAST_RATE, "lr_warmup_steps": plan.warmup_steps}
        return {"lr_scheduler": "cosine_with_min_lr", **floor}
    if plan.warmup_steps:
        return {"lr_scheduler": "constant_with_warmup", "lr_warmup_steps": plan.warmup_steps}
    return {"lr_scheduler": "constant"}


def _loss(order: Order) -> Arguments:
    plan = order.plan
    holds_class = plan.prior_weight > 0 and not (order.is_sdxl and order.method is Method.DREAMBOOTH)
    return {
        "min_snr_gamma": plan.min_snr_gamma or None,
        "scale_v_pred_loss_like_noise_pred": plan.scale_v_loss and is_velocity(order.base.prediction),
        "noise_offset": plan.noise_offset or None,
        "ip_noise_gamma": plan.input_perturbation or None,
        "prior_loss_weight": plan.prior_weight if holds_class else None,
    }


def _files(order: Order) -> Arguments:
    every = save_every(order.total_steps, order.plan.save_count)
    return {
        "output_dir": str(order.output),
        "output_name": order.name,
        "save_model_as": "safetensors",
        "save_precision": "float" if order.method is Method.TEXTUAL_INVERSION else "fp16",
        "save_every_n_steps": every,
        "sample_every_n_steps": every,
        "sample_prompts": str(order.prompts_file),
        "sample_sampler": SAMPLER,
    }


def _lora(order: Order) -> Arguments:
    plan = order.plan
    assert isinstance(plan, LoraPlan)
    conv = [f"conv_dim={plan.conv_rank}", f"conv_alpha={plan.conv_alpha:.10g}"]
    return {
        "network_module": "networks.lora",
        "network_dim": plan.rank,
        "network_alpha": plan.alpha,
        "network_args": conv if plan.conv_rank else None,
        "network_train_unet_only": not plan.trains_text,
        "unet_lr": plan.learning_rate,
        "text_encoder_lr": plan.text_encoder_learning_rate if plan.trains_text else None,
    }


def _dreambooth(order: Order) -> Arguments:
    plan = order.plan
    rate = plan.text_encoder_learning_rate if plan.trains_text else None
    if order.is_sdxl:  # masks count only when some weighing of the loss is on
        masked = plan.unmasked_weight < 1
        return {
            "train_text_encoder": plan.trains_text,
            "learning_rate_te1": rate,
            "learning_rate_te2": rate,
            "masked_loss": masked,
        }
    return {"learning_rate_te": rate, "stop_text_encoder_training": None if plan.trains_text else -1}


def _textual_inversion(order: Order) -> Arguments:
    plan = order.plan
    assert isinstance(plan, TextualInversionPlan)
    return {
        "token_string": TOKEN,
        "init_word": plan.init_word.strip() or order.class_noun,
        "num_vectors_per_token": plan.vectors,
    }


METHODS: dict[Method, Callable[[Order], Arguments]] = {
    Method.LORA: _lora,
    Method.DREAMBOOTH_LORA: _lora,
    Method.DREAMBOOTH: _dreambooth,
    Method.TEXTUAL_INVERSION: _textual_inversion,
}


def prompts(shots: Sequence[Shot], order: Order) -> str:
    """The file of sample prompts, one a line; options follow after ` --`."""
    plan, side = order.plan, order.resolution_px
    lines = []
    for shot in shots:
        prompt = " ".join(shot.prompt.lstrip("# ").replace(" --", " ").split())
        lines.append(f"{prompt} --w {side} --h {side} --d {shot.seed} --s {plan.sample_steps} --l {plan.guidance:g}")
    return "\n".join(lines) + "\n"
