"""An extension for the tests alone: the Extras tab with values for our widgets, and failures where wanted."""
import base64
from contextlib import ExitStack
from io import BytesIO

from fastapi import Body
from modules import postprocessing, script_callbacks, scripts
from modules.call_queue import queue_lock
from PIL import Image

armed = ExitStack()
# What the WebUI's own scripts need to do nothing.
OTHERS = {
    "Upscale": {
        "upscale_enabled": True, "upscale_mode": 0, "upscale_by": 1, "max_side_length": 0, "upscale_to_width": 512,
        "upscale_to_height": 512, "upscale_crop": False, "upscaler_1_name": "None", "upscaler_2_name": "None",
        "upscaler_2_visibility": 0,
    },
    "GFPGAN": {"enable": False, "gfpgan_visibility": 0},
    "CodeFormer": {"enable": False, "codeformer_visibility": 0, "codeformer_weight": 0},
}
IMAGE, VALUES = Body(), Body()


def picture(text):
    with Image.open(BytesIO(base64.b64decode(text))) as image:
        image.load()
        return image


def text(image):
    stream = BytesIO()
    image.save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def fail(*_args, **_kwargs):
    raise RuntimeError("The test wanted this.")


def add_routes(_demo, app):
    @app.post("/probe/restore/extras")
    def extras(image: str = IMAGE, values: dict = VALUES):
        with queue_lock:
            runner = scripts.scripts_postproc
            given = runner.create_args_for_run({**OTHERS, "Personal Avatar": values})
            images, html, _ = postprocessing.run_postprocessing(
                0, picture(image), "", "", "", False, *given, save_output=False
            )
        return {"image": text(images[0]), "info": html, "said": images[0].info.get("postprocessing", "")}

    @app.post("/probe/restore/sabotage")
    def sabotage():
        from personal_avatar.restoration import aligned

        armed.callback(setattr, aligned, "_through", aligned._through)
        aligned._through = fail

    @app.post("/probe/restore/mend")
    def mend():
        armed.close()


script_callbacks.on_app_started(add_routes)
