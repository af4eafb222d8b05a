"""What of a request reaches the sampler, first pass, hires pass and pictures that are painted anew."""
from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from personal_avatar.domain import Family
from personal_avatar.identities import IdentityRequest, IdentitySettings, Subject
from personal_avatar.identity.nouns import AdapterKind
from personal_avatar.identity.shelf import Shelf
from personal_avatar.identity.unit import IdentityUnit
from personal_avatar.pictures import load_picture
from PIL import Image

from tests.unit.webui.conftest import Loaded

pytestmark = pytest.mark.slow  # loads models of faces

PX = 128
LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def unit(tmp_path_factory: pytest.TempPathFactory, instantid: Path) -> IdentityUnit:
    return IdentityUnit(Shelf([instantid]), tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def photos(samples: Path) -> list[np.ndarray]:
    return [load_picture(samples / name) for name in ("01.jpg", "someone-else.jpg")]


class Webui:
    """Pictures of the WebUI's `process_images`, as far as they come to the sampler. `injections`: what came there."""

    def __init__(self, session: Any, notes: Any) -> None:
        self.family, self.session, self.notes = Family.SDXL, session, notes
        self.injections: list[Any] = []

    def begun(self, request: IdentityRequest, **generation: Any) -> Any:
        """`p` after its hooks `before_process` and `process`."""
        comments: list[str] = []
        p = SimpleNamespace(
            width=PX, height=PX, cfg_scale=4, extra_generation_params={}, comments=comments, comment=comments.append,
            sampler=SimpleNamespace(), scripts=None, paste_to=None, resize_mode=0, is_hr_pass=False, image_mask=None,
        )
        return self.begun_again(p, request, **generation)

    def begun_again(self, p: Any, request: IdentityRequest, **generation: Any) -> Any:
        """The same with a `p` of which a picture was made before; what `init` writes is that picture's until then."""
        vars(p).update({name: value for name, value in generation.items() if name in ("init_images", "image_mask")})
        self.session.begin(p, lambda: request)
        self.session.check(p)
        assert self.problem(p) == ""
        vars(p).update(generation)
        return p

    def sample(self, p: Any, hires: bool = False) -> None:
        p.is_hr_pass = hires
        self.session.before_sampling(p, torch.zeros(1, 4, PX // 8, PX // 8))
        p.is_hr_pass = False
        self.session.after_sampling(p)

    def problem(self, p: Any) -> str:
        return str(p.extra_generation_params.get(self.notes.ERROR, ""))

    def warning(self, p: Any) -> str:
        return str(p.extra_generation_params.get(self.notes.WARNING, ""))


@pytest.fixture()
def webui(loaded: Loaded, stood_in: ModuleType, unit: IdentityUnit) -> Webui:
    stood_in.devices.device, stood_in.devices.dtype_unet = torch.device("cpu"), torch.float32
    stood_in.images.flatten = lambda picture, colour: picture
    stood_in.images.resize_image = lambda mode, picture, width, height: picture.resize((width, height))
    session, networks = loaded("identity.session"), loaded("identity.networks")
    made = Webui(session, loaded("identity.notes"))
    networks.unit = lambda: unit
    networks.park = unit.park
    session.describe = lambda info: SimpleNamespace(family=made.family, path=Path("not-there.safetensors"))

    class Sampling:
        """Samples at once."""

        def __init__(self, p: Any, injection: Any, *told: Any) -> None:
            self._injection, self._ended = injection, told[-1]

        def arm(self) -> None:
            made.injections.append(self._injection)
            self._ended(True)

    session.Sampling = Sampling
    return made


def asked(people: list[Subject], **settings: Any) -> IdentityRequest:
    return IdentityRequest(IdentitySettings(**settings), tuple(people))


def drawing(samples: Path) -> Image.Image:
    return Image.open(samples / "01.jpg").convert("RGB").resize((256, 256))


def hints(webui: Webui) -> list[bool]:
    """Whether a pose was followed, of every pass."""
    return [injection.control is not None for injection in webui.injections]


def around_a_mask(samples: Path, box: tuple[int, int, int, int]) -> dict[str, Any]:
    return {"init_images": [drawing(samples)], "image_mask": Image.new("L", (256, 256)), "paste_to": box}


def test_around_a_mask_places_are_those_of_the_whole_picture(
    webui: Webui, photos: list[np.ndarray], samples: Path
) -> None:
    people = [Subject((photos[0],), box=LEFT), Subject((photos[1],), box=RIGHT)]
    p = webui.begun(asked(people, keypoints="none"), **around_a_mask(samples, (64, 0, 128, 128)))
    webui.sample(p)
    first, second = (person.mask for person in webui.injections[-1].people)
    assert first[:, : PX // 2].min() == second[:, PX // 2 :].min() == 1.0
    assert first[:, PX // 2 :].max() == second[:, : PX // 2].max() == 0.0


def test_around_a_mask_who_stands_outside_is_not_painted_but_known(
    webui: Webui, photos: list[np.ndarray], samples: Path
) -> None:
    people = [Subject((photos[0],), box=LEFT), Subject((photos[1],), box=RIGHT)]
    p = webui.begun(asked(people, keypoints="none"), **around_a_mask(samples, (0, 0, 128, 128)))
    said = dict(p.extra_generation_params)
    webui.sample(p)
    (only,) = webui.injections[-1].people
    assert only.mask.min() == 1.0 and "1 of 2 people" in webui.warning(p)
    assert len(webui.session.of(p).references) == 2
    assert {name: p.extra_generation_params[name] for name in said} == said


def test_around_a_mask_where_nobody_stands_nobody_is_painted_which_is_told(
    webui: Webui, photos: list[np.ndarray], samples: Path
) -> None:
    p = webui.begun(asked([Subject((photos[0],), box=RIGHT)]), **around_a_mask(samples, (0, 0, 128, 128)))
    webui.sample(p)
    assert not webui.injections and "outside" in webui.problem(p)


@pytest.mark.parametrize("before", [(0, 0, 128, 128), (128, 0, 128, 128)])
def test_the_part_of_the_picture_before_says_nothing_of_the_next_one(
    webui: Webui, photos: list[np.ndarray], samples: Path, before: tuple[int, int, int, int]
) -> None:
    request = asked([Subject((photos[0],), box=LEFT)], keypoints="none")
    p = webui.begun(request, **around_a_mask(samples, before))
    webui.sample(p)
    assert ("outside" in webui.problem(p)) == (before[0] == 128)
    webui.injections.clear()
    webui.begun_again(p, request, **around_a_mask(samples, (0, 0, 128, 128)))
    webui.sample(p)
    assert webui.problem(p) == "" and len(webui.injections) == 1
    assert len(webui.session.of(p).references) == 1


def test_the_pose_in_the_part_of_the_picture_before_says_nothing_of_the_next_one(
    webui: Webui, photos: list[np.ndarray], samples: Path
) -> None:
    request = asked([Subject((photos[0],))])
    p = webui.begun(request, **around_a_mask(samples, (0, 0, 32, 32)))
    webui.sample(p)
    assert hints(webui) == [False] and "not every face" in webui.warning(p)
    webui.begun_again(p, request, **around_a_mask(samples, (0, 0, 256, 256)))
    webui.sample(p)
    assert hints(webui) == [False, True] and webui.warning(p) == ""


def test_pictures_of_a_batch_have_poses_of_their_own_and_copies_of_one_have_one(
    webui: Webui, photos: list[np.ndarray], samples: Path
) -> None:
    one, other = drawing(samples), Image.open(samples / "04.jpg").convert("RGB").resize((256, 256))
    for pictures in ([one], [one] * 2, [one, one.copy()], [one, other]):
        p = webui.begun(asked([Subject((photos[0],))]), init_images=pictures)
        webui.injections.clear()
        webui.sample(p)
        assert hints(webui) == [pictures[-1] is not other]
        assert ("poses of their own" in webui.warning(p)) == (pictures[-1] is other)
    assert p.extra_generation_params["Personal Avatar keypoints"] == "auto"


def test_a_hires_pass_that_cannot_have_the_person_takes_nothing_from_the_first_pass(
    webui: Webui, photos: list[np.ndarray]
) -> None:
    p = webui.begun(asked([Subject((photos[0],))]))
    for batch in (1, 2):
        webui.family = Family.SDXL
        webui.sample(p)
        webui.family = Family.SD2
        webui.sample(p, hires=True)
        assert len(webui.injections) == batch and webui.problem(p) == ""
        assert "hires pass" in webui.warning(p) and "Stable Diffusion 2" in webui.warning(p)
        assert p.extra_generation_params["Personal Avatar identity"] == "instantid"
        assert webui.session.of(p).kind is AdapterKind.INSTANTID


def test_a_hires_pass_alone_that_cannot_have_the_person_has_nobody(webui: Webui, photos: list[np.ndarray]) -> None:
    p = webui.begun(asked([Subject((photos[0],))]))
    webui.family = Family.SD2
    webui.sample(p, hires=True)
    assert "Stable Diffusion 2" in webui.problem(p) and webui.session.of(p) is None


def test_what_does_not_fit_the_network_is_told_and_the_picture_is_made(
    webui: Webui, loaded: Loaded, stood_in: ModuleType, photos: list[np.ndarray]
) -> None:
    webui.sample(webui.begun(asked([Subject((photos[0],))])))
    sampling, told, ended = loaded("identity.sampling"), [], []
    sampling.callbacks.added = lambda category, function: nullcontext()
    stood_in.shared.sd_model = SimpleNamespace(model=SimpleNamespace(diffusion_model=torch.nn.Linear(1, 1)))
    p = SimpleNamespace(sampler=SimpleNamespace(launch_sampling=lambda steps, sample: sample()))
    sampling.Sampling(p, webui.injections[0], told.append, ended.append).arm()
    assert p.sampler.launch_sampling(3, lambda: "latents") == "latents"
    assert len(told) == 1 and ended == [False]
