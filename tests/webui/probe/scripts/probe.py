"""An extension for the tests alone: asks our host inside the running WebUI, and lets open_clip know small models."""
from hashlib import sha256
from pathlib import Path

import numpy as np
import open_clip
import torch
from fastapi import Body
from modules import paths, processing, script_callbacks

for config in Path(paths.models_path, "Stable-diffusion").glob("*/miniature-open-clip.json"):
    open_clip.add_model_config(config)

whole_body = Body(...)
paint = processing.process_images_inner


def watched(p):
    """As extensions do that look for a script of theirs; the card is full while the tests say so."""
    assert all(script.title() for script in p.scripts.alwayson_scripts)
    if Path(paths.data_path, "card-is-full").exists():
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    return paint(p)


processing.process_images_inner = watched


def add_routes(_demo, app):
    from personal_avatar.domain import Method
    from personal_avatar.errors import AvatarError
    from personal_avatar.webui import register

    host = register.studio().host

    def answered(ask):
        try:
            return {"answer": ask()}
        except AvatarError as error:
            return {"error": error.to_json()}

    @app.post("/probe/published")
    def published(file: str = Body(...), method: str = Body("lora")):
        return answered(lambda: host.published(Path(file), Method(method)))

    @app.post("/probe/generate")
    def generate(body: dict = whole_body):
        """Digest of the pixels and infotext of every picture; `stop_after`: cancel at that step."""
        from personal_avatar.errors import Cancelled
        from personal_avatar.host import PictureRequest

        def on_step(step, _total):
            if step == stop_after:
                raise Cancelled("The test stops here.")

        request, stop_after = body["request"], body["stop_after"]
        another = request.pop("checkpoint", None)
        asked = PictureRequest(**{**request, "seeds": tuple(request["seeds"])}, checkpoint=another and Path(another))
        return answered(lambda: [
            [sha256(made.image.tobytes()).hexdigest(), made.infotext] for made in host.generate(asked, on_step)
        ])

    @app.get("/probe/cards")
    def cards():
        """Names on the cards of the WebUI's tabs of networks, by the tab's title."""
        from modules import ui_extra_networks

        for page in ui_extra_networks.extra_pages:
            page.refresh()
        return {page.title: [item["name"] for item in page.list_items()] for page in ui_extra_networks.extra_pages}

    @app.get("/probe/places")
    def places(name: str):
        """Parts of a LoRA for which the WebUI's own code finds a place in the checkpoint that is loaded."""
        import networks
        from modules.call_queue import queue_lock

        with queue_lock:
            network = networks.load_network(name, networks.available_networks[name])
        return sorted({module.network_key.partition(".")[0] for module in network.modules.values()})

    @app.get("/probe/loaded")
    def loaded():
        """What is in memory, not what is chosen."""
        from modules import sd_models

        return {"answer": Path(sd_models.model_data.sd_model.sd_model_checkpoint).name}

    @app.post("/probe/find_checkpoint")
    def find_checkpoint(wanted: str = Body(..., embed=True)):
        return answered(lambda: host.find_checkpoint(wanted))

    @app.get("/probe/checkpoint")
    def checkpoint():
        return answered(host.checkpoint)

    @app.get("/probe/restorers")
    def listed():
        return answered(host.restorers)

    @app.get("/probe/upscalers")
    def upscalers():
        return answered(host.upscalers)

    @app.post("/probe/upscale")
    def upscale(name: str = Body(...), height: int = Body(...), width: int = Body(...), factor: int = Body(...)):
        ramp = np.linspace(0, 255, height * width * 3).reshape(height, width, 3).astype(np.uint8)

        def made():
            image = host.upscale(ramp, name, factor)
            return {"shape": image.shape, "type": str(image.dtype), "varied": float(image.std())}

        return answered(made)

    @app.get("/probe/folders")
    def folders():
        return answered(host.folders)


script_callbacks.on_app_started(add_routes)
