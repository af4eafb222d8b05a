"""An extension for the tests alone: what generations leave behind in the running WebUI, and failures where wanted."""
import gc
from contextlib import ExitStack
from hashlib import sha256

import psutil
import torch
from fastapi import Body
from modules import script_callbacks, shared
from modules.sd_samplers_common import InterruptedException

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs",
         "_backward_hooks", "_backward_pre_hooks")
armed = ExitStack()


def digest(module):
    found = sha256()
    for name, tensor in sorted(module.state_dict().items()):
        found.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def fail(kind):
    if kind == "interrupt":
        shared.state.interrupt()
    elif kind == "skip":
        shared.state.skip()
    elif kind == "stop":
        raise InterruptedException
    elif kind == "memory":
        raise torch.cuda.OutOfMemoryError("CUDA out of memory, says the test.")
    else:
        raise RuntimeError("The test wanted this.")


def once(kind, nth):
    """Something that fails when it is called for the `nth` time, and never again."""
    calls = iter(range(nth + 1))

    def call(*_args, **_kwargs):
        if next(calls, None) == nth:
            fail(kind)

    return call


def replaced(owner, name, before):
    """`owner.name` calls `before` first, until it is mended."""
    original = getattr(owner, name)

    def method(*args, **kwargs):
        before()
        return original(*args, **kwargs)

    setattr(owner, name, method)
    armed.callback(setattr, owner, name, original)


def places():
    from personal_avatar.identity.attention import FaceKeys
    from personal_avatar.identity.net import IdentityNet
    from personal_avatar.identity.projection import Projection
    from personal_avatar.identity.unit import IdentityUnit

    return {
        "residuals": (IdentityNet, "residuals"), "hint": (IdentityNet, "hint"), "context": (IdentityNet, "context"),
        "keys": (FaceKeys, "of"), "tokens": (Projection, "tokens"), "prepare": (IdentityUnit, "prepare"),
        "reference": (IdentityUnit, "reference"),
    }


def add_routes(_demo, app):
    @app.get("/probe/identity/state")
    def state():
        model = shared.sd_model
        modules = list(model.modules())
        return {
            "weights": digest(model.model.diffusion_model),
            "hooks": sum(len(getattr(module, kind)) for module in modules for kind in HOOKS),
            "methods": sum(1 for module in modules for name in vars(module) if name in ("forward", "__call__")),
            "callbacks": sum(len(callbacks) for callbacks in script_callbacks.callback_map.values()),
            "training": any(module.training for module in model.model.diffusion_model.modules()),
        }

    @app.get("/probe/identity/memory")
    def memory():
        gc.collect()
        tensors = [thing for thing in gc.get_objects() if isinstance(thing, torch.Tensor)]
        return {
            "resident_mb": psutil.Process().memory_info().rss / 1e6,
            "tensors": len(tensors),
            "tensor_mb": sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6,
        }

    @app.post("/probe/identity/sabotage")
    def sabotage(where: str = Body(...), kind: str = Body(...), nth: int = Body(...)):
        """`where`: "unet:<number of a module>" or one of `places`; `kind`: see `fail`; `nth`: calls that go well."""
        armed.close()
        broken = once(kind, nth)
        if where.startswith("unet"):
            modules = list(shared.sd_model.model.diffusion_model.modules())
            module = modules[int(where.partition(":")[2] or 0) % len(modules)]
            armed.callback(module.register_forward_pre_hook(broken).remove)
        else:
            replaced(*places()[where], broken)
        return {}

    @app.post("/probe/identity/mend")
    def mend():
        armed.close()
        return {}

    @app.get("/probe/identity/axes")
    def axes():
        """Labels of the axes of txt2img's plot, in their order."""
        from modules import scripts

        plot = next(data.module for data in scripts.scripts_data if data.path.endswith("xyz_grid.py"))
        return [option.label for option in plot.axis_options if not getattr(option, "is_img2img", False)]


script_callbacks.on_app_started(add_routes)
