"""What is the WebUI's is given back as it was."""
from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.unit.webui.conftest import Loaded


@pytest.fixture()
def borrowed(loaded: Loaded, stood_in: ModuleType) -> Any:
    info = SimpleNamespace(sd_checkpoint_info=None, parameterization="eps")
    stood_in.shared.sd_model = info
    module = loaded("borrowed")
    module.describe = lambda info: SimpleNamespace(zero_terminal_snr=False, prediction="epsilon")
    return module


@pytest.mark.parametrize("block", ["sampling", "unrecorded"])
def test_photos_that_our_pictures_are_painted_from_are_not_kept_by_the_webui(
    borrowed: Any, stood_in: ModuleType, block: str
) -> None:
    options = stood_in.shared.opts
    with pytest.raises(RuntimeError), getattr(borrowed, block)():
        assert not options.save_init_img
        raise RuntimeError
    assert options.save_init_img
