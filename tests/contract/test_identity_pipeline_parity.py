"""A whole generation with a face, from files to latents, against diffusers' own classes on the same files.

InstantID: `ControlNetModel`, the IP-Adapter's image projection and attention processors, the UNet, Euler's steps with
guidance. FaceID: diffusers' pipelines with `load_ip_adapter`, which also takes the LoRA inside the file.
"""
from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign import load, pipeline
from miniature_adapters import (
    CLIP_WIDTH,
    NAMES,
    make_adapter,
    make_clip_vision,
    make_face_pack,
    make_identitynet,
)
from miniatures import make
from personal_avatar.benchmarks.identity_engines import Ours, Plain, denoised
from personal_avatar.benchmarks.identity_reference import Reference, Scene
from personal_avatar.domain import Family
from personal_avatar.identities import IdentityRequest, IdentitySettings, Subject
from personal_avatar.identity.injection import Control, Injection, Person, injected
from personal_avatar.identity.layers import cross_attentions
from personal_avatar.identity.net import load_net
from personal_avatar.identity.nouns import AdapterKind, AdapterWeights, Rows, Target, Tokens
from personal_avatar.identity.projection import build
from personal_avatar.identity.reading import read_adapter
from personal_avatar.identity.shelf import Shelf
from personal_avatar.identity.unit import IdentityUnit
from personal_avatar.photos.read import read_photo
from personal_avatar.training.families.model import DiffusionModel
from torch import Tensor

pytestmark = pytest.mark.slow

STEPS, GUIDANCE = 4, 4.0
WEIGHT, NET_WEIGHT, STRUCTURE = 0.8, 0.7, 0.6
CLOSE = 1e-4
TEXT_TOKENS, PX, LATENT = 77, 64, 8


def difference(one: Tensor, other: Tensor) -> float:
    """Length of the difference as a share of the other's length."""
    assert one.shape == other.shape
    return float((one - other).norm() / other.norm())


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[Family, DiffusionModel]:
    families = (Family.SD1, Family.SDXL)
    return {family: load(make(family, tmp_path_factory.mktemp(family.value))) for family in families}


@dataclass(frozen=True, eq=False)
class InstantId:
    """Ours and diffusers' on the same files, and what both are given."""

    adapter: AdapterWeights
    scene: Scene
    ours: Ours
    reference: Reference
    plain: Plain
    embedding: Tensor


@pytest.fixture(scope="module")
def instantid(models: dict[Family, DiffusionModel], tmp_path_factory: pytest.TempPathFactory) -> InstantId:
    from diffusers import ControlNetModel

    folder = tmp_path_factory.mktemp("instantid")
    adapter = read_adapter(make_adapter(AdapterKind.INSTANTID, Family.SDXL, folder, suffix=".bin"), folder)
    net_file = make_identitynet(folder / "net")
    unet = copy.deepcopy(models[Family.SDXL].unet).eval().requires_grad_(False)
    embedding = 20.0 * torch.nn.functional.normalize(random(1, 512, seed=1))  # as long as a recogniser's
    scene = _scene(build(adapter).tokens(embedding, None), unet.config.cross_attention_dim)
    control = Control(load_net(net_file, "cpu", torch.float32), scene.hint, NET_WEIGHT)
    injection = Injection(adapter, [Person(scene.tokens)], WEIGHT, control=control)
    theirs = ControlNetModel.from_pretrained(net_file.parent).requires_grad_(False)
    reference = Reference(copy.deepcopy(unet), theirs, adapter, WEIGHT, NET_WEIGHT)
    return InstantId(adapter, scene, Ours(unet, injection), reference, Plain(unet), embedding)


def _scene(tokens: Tokens, width: int) -> Scene:
    hint = torch.zeros(1, 3, PX, PX)
    hint[:, 0, 10:20, 12:30], hint[:, 1, 30:40, 30:34] = 0.6, 1.0
    sizes = torch.tensor([[PX, PX, 0, 0, PX, PX]]).float().repeat(2, 1)
    return Scene(
        noise=random(1, 4, LATENT, LATENT, seed=2), text=random(2, TEXT_TOKENS, width, seed=3),
        pooled=random(2, 128, seed=4), sizes=sizes, hint=hint, tokens=tokens,
    )


def final(engine: Any, scene: Scene) -> Tensor:
    with torch.no_grad(), engine.entered():
        return list(denoised(engine, scene, STEPS, GUIDANCE))[-1]


def test_the_tokens_of_instantid(instantid: InstantId) -> None:
    projection = instantid.reference.unet._convert_ip_adapter_image_proj_to_diffusers(
        dict(instantid.adapter.projection), low_cpu_mem_usage=False
    )
    with torch.no_grad():
        expected = projection(torch.cat((torch.zeros(1, 1, 512), instantid.embedding[None])))
    tokens = instantid.scene.tokens
    assert difference(torch.cat((tokens.uncond, tokens.cond)), expected) < CLOSE
    assert difference(tokens.cond, tokens.uncond) > 0.1


def test_the_residuals_of_the_identitynet_reach_the_unet(instantid: InstantId) -> None:
    scene, ours = instantid.scene, instantid.ours
    latents, timestep = random(2, 4, LATENT, LATENT, seed=5), torch.tensor(421.0)
    given: dict[str, Any] = {}
    with torch.no_grad(), ours.entered():
        watch = ours.unet.register_forward_pre_hook(lambda _, args, kwargs: given.update(kwargs), with_kwargs=True)
        ours(scene, latents, timestep)
        watch.remove()
        down, middle = instantid.reference.residuals(scene, latents, timestep)
    found = (*given["down_block_additional_residuals"], given["mid_block_additional_residual"])
    assert len(found) == len(down) + 1
    assert max(difference(one, other) for one, other in zip(found, (*down, middle), strict=True)) < CLOSE


def test_what_is_added_in_every_layer(instantid: InstantId) -> None:
    scene, ours, reference = instantid.scene, instantid.ours, instantid.reference
    latents, timestep = random(2, 4, LATENT, LATENT, seed=5), torch.tensor(421.0)
    with torch.no_grad():
        before: dict[int, Tensor] = {}
        after: dict[int, Tensor] = {}
        seen: dict[int, Tensor] = {}
        layers = cross_attentions(ours.unet)
        names = {id(module): name for name, module in ours.unet.named_modules()}
        queries, outs = [layer.to_q for layer in layers], [layer.to_out for layer in layers]
        with _watched(queries, seen), _watched(outs, before), ours.entered(), _watched(outs, after):
            ours(scene, latents, timestep)
        tokens = torch.cat((scene.tokens.uncond, scene.tokens.cond))
        with reference.entered():
            for number, layer in enumerate(layers):
                name = names[id(layer.to_out)].removesuffix(".to_out.0")
                module = reference.unet.get_submodule(name)
                expected = _added_by_diffusers(module, seen[number], scene.text, tokens)
                assert difference(after[number] - before[number], expected) < CLOSE, name
    assert len(layers) == 17


@contextmanager
def _watched(modules: list[Any], found: dict[int, Tensor]) -> Iterator[None]:
    """What goes into each of the modules, at this place in the order of their hooks."""
    def keep(number: int) -> Callable[..., None]:
        return lambda module, args: found.__setitem__(number, args[0])

    hooks = [module.register_forward_pre_hook(keep(number)) for number, module in enumerate(modules)]
    yield
    for hook in hooks:
        hook.remove()


def _added_by_diffusers(module: Any, states: Tensor, text: Tensor, tokens: Tensor) -> Tensor:
    """The processor's answer with the face less that without it, before the projection."""
    found: list[Tensor] = []
    hook = module.to_out[0].register_forward_pre_hook(lambda _, args: found.append(args[0]))
    for weight in (WEIGHT, 0.0):
        module.processor.scale = [weight]
        module(states, encoder_hidden_states=(text, [tokens]))
    module.processor.scale = [WEIGHT]
    hook.remove()
    return found[0] - found[1]


def test_the_latents_of_instantid(instantid: InstantId) -> None:
    ours, expected = final(instantid.ours, instantid.scene), final(instantid.reference, instantid.scene)
    assert difference(ours, expected) < CLOSE
    assert difference(ours, final(instantid.plain, instantid.scene)) > 0.1


def test_the_attention_of_the_community_pipeline_gives_the_same(instantid: InstantId) -> None:
    expected = final(replace(instantid.reference, fused=False), instantid.scene)
    assert difference(final(instantid.ours, instantid.scene), expected) < CLOSE


@pytest.mark.parametrize("without", ["adapter", "identitynet"])
def test_each_half_alone(instantid: InstantId, without: str) -> None:
    injection, reference = instantid.ours.injection, instantid.reference
    if without == "adapter":
        ours, theirs = replace(injection, weight=0.0), replace(reference, weight=0.0)
    else:
        ours, theirs = replace(injection, control=None), replace(reference, net_weight=0.0)
    found = final(Ours(instantid.ours.unet, ours), instantid.scene)
    assert difference(found, final(theirs, instantid.scene)) < CLOSE
    assert difference(found, final(instantid.ours, instantid.scene)) > 1e-3


def test_without_weight_everything_is_bit_equal(instantid: InstantId) -> None:
    injection = instantid.ours.injection
    none = replace(injection, weight=0.0, control=replace(injection.control, weight=0.0))
    plain = final(instantid.plain, instantid.scene)
    final(instantid.ours, instantid.scene)
    assert torch.equal(final(Ours(instantid.ours.unet, none), instantid.scene), plain)
    assert torch.equal(final(instantid.plain, instantid.scene), plain)


FACEID = [key for key in NAMES if key[0] is not AdapterKind.INSTANTID]
PHOTOS = {AdapterKind.FACEID_PORTRAIT: 5, AdapterKind.FACEID_PORTRAIT_UNNORM: 5}


@pytest.mark.parametrize(("kind", "family"), FACEID, ids=[NAMES[key] for key in FACEID])
def test_the_latents_of_faceid(
    models: dict[Family, DiffusionModel], kind: AdapterKind, family: Family, tmp_path: Path
) -> None:
    path = make_adapter(kind, family, tmp_path)
    embeddings = torch.nn.functional.normalize(random(PHOTOS.get(kind, 1), 512, seed=6))
    states = (random(1, 257, CLIP_WIDTH, seed=7), random(1, 257, CLIP_WIDTH, seed=8)) if kind.needs_clip else None
    model = replace(models[family], unet=copy.deepcopy(models[family].unet))
    plain = _generate(_euler(model), model)
    adapter = read_adapter(path, tmp_path)
    tokens = build(adapter).tokens(
        embeddings, states and states[0], zero_crop=states and states[1], structure=STRUCTURE
    )
    injection = Injection(adapter, [Person(tokens)], WEIGHT)
    with injected(model.unet, injection, lambda count: Rows((False, True), 0.0)):
        found = _generate(_euler(model), model)
    assert torch.equal(_generate(_euler(model), model), plain)
    expected = _theirs(model, path, kind, embeddings, states)
    assert difference(found, expected) < CLOSE
    assert difference(found, plain) > 0.05


def _euler(model: DiffusionModel) -> Any:
    from diffusers import EulerDiscreteScheduler

    made = pipeline(model)
    made.scheduler = EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    made.set_progress_bar_config(disable=True)
    return made


def _generate(pipe: Any, model: DiffusionModel, **more: Any) -> Tensor:
    width = model.unet.config.cross_attention_dim
    texts = {"prompt_embeds": random(1, 77, width, seed=9), "negative_prompt_embeds": random(1, 77, width, seed=10)}
    if model.family is Family.SDXL:
        texts["pooled_prompt_embeds"] = random(1, 128, seed=11)
        texts["negative_pooled_prompt_embeds"] = random(1, 128, seed=12)
    made = pipe(
        **texts, height=PX, width=PX, num_inference_steps=STEPS, guidance_scale=GUIDANCE, output_type="latent",
        latents=random(1, 4, LATENT, LATENT, seed=13), **more,
    )
    return made.images


def _theirs(
    model: DiffusionModel, path: Path, kind: AdapterKind, embeddings: Tensor, states: tuple[Tensor, Tensor] | None
) -> Tensor:
    """diffusers' own way: everything by `load_ip_adapter`, with peft for the LoRA."""
    pipe = _euler(model)
    pipe.load_ip_adapter(str(path.parent), subfolder="", weight_name=path.name, image_encoder_folder=None)
    pipe.set_ip_adapter_scale(WEIGHT)
    if states is not None:
        projection = pipe.unet.encoder_hid_proj.image_projection_layers[0]
        projection.clip_embeds = torch.cat((states[1], states[0]))[:, None]
        projection.shortcut, projection.shortcut_scale = kind is AdapterKind.FACEID_PLUS_V2, STRUCTURE
    both = torch.stack((torch.zeros_like(embeddings), embeddings))
    return _generate(pipe, model, ip_adapter_image_embeds=[both])


@pytest.fixture(scope="module")
def unit(weights_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> IdentityUnit:
    """With everything that InstantID and FaceID Plus v2 need, as users have it in their folders."""
    folder = tmp_path_factory.mktemp("shelf")
    for kind, family in ((AdapterKind.INSTANTID, Family.SDXL), (AdapterKind.FACEID_PLUS_V2, Family.SD1)):
        make_adapter(kind, family, folder, suffix=".bin")
    make_identitynet(folder / "InstantID" / "ControlNetModel")
    make_clip_vision(folder / "image_encoder")
    make_face_pack(folder / "insightface", weights_folder.parent / "insightface" / "buffalo_s")
    return IdentityUnit(Shelf([folder]), folder / "cache")


def _request(samples: Path, **settings: Any) -> IdentityRequest:
    photos = tuple(read_photo(samples / name)[1] for name in ("01.jpg", "05.jpg"))
    chosen = IdentitySettings(adapter_weight=WEIGHT, identitynet_weight=NET_WEIGHT, **settings)
    return IdentityRequest(chosen, (Subject(photos),))


def test_photos_to_latents_by_instantid(instantid: InstantId, unit: IdentityUnit, samples: Path) -> None:
    """From photos on: only what the recogniser said of them is the same for both."""
    target = Target(Family.SDXL, PX, PX, torch.device("cpu"), torch.float32)
    prepared = unit.prepare(_request(samples), target)
    embedding = torch.from_numpy(prepared.references[0].embedding)
    control = prepared.injection.control
    assert control is not None and embedding.norm() > 2.0  # as the recogniser gave it
    projection = instantid.reference.unet._convert_ip_adapter_image_proj_to_diffusers(
        dict(instantid.adapter.projection), low_cpu_mem_usage=False
    )
    with torch.no_grad():
        uncond, cond = projection(torch.stack((torch.zeros_like(embedding), embedding))[:, None]).chunk(2)
    scene = replace(instantid.scene, hint=control.hint, tokens=Tokens(cond=cond, uncond=uncond))
    found = final(Ours(instantid.ours.unet, prepared.injection), scene)
    assert difference(found, final(instantid.reference, scene)) < CLOSE
    assert float(control.hint.max()) > 0.5


def test_photos_to_latents_by_faceid_plus(
    models: dict[Family, DiffusionModel], unit: IdentityUnit, samples: Path
) -> None:
    """The mean of both photos' embeddings, of length one; the first one's face as transformers' CLIP sees it."""
    from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

    model = replace(models[Family.SD1], unet=copy.deepcopy(models[Family.SD1].unet))
    target = Target(Family.SD1, PX, PX, torch.device("cpu"), torch.float32)
    prepared = unit.prepare(_request(samples, structure_weight=STRUCTURE), target)
    with injected(model.unet, prepared.injection, lambda count: Rows((False, True), 0.0)):
        found = _generate(_euler(model), model)
    reference = prepared.references[0]
    encoder = CLIPVisionModelWithProjection.from_pretrained(unit.shelf.clip_vision().parent)
    pixels = CLIPImageProcessor()(images=reference.crops[0], return_tensors="pt").pixel_values
    with torch.no_grad():
        seen, zero = (
            encoder(one, output_hidden_states=True).hidden_states[-2] for one in (pixels, torch.zeros_like(pixels))
        )
    embedding = torch.nn.functional.normalize(torch.from_numpy(reference.embedding)[None])
    adapter = unit.shelf.choose(IdentitySettings(), Family.SD1)
    assert difference(found, _theirs(model, adapter.path, adapter.kind, embedding, (seen, zero))) < CLOSE
