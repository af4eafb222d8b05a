"""An extension for the tests alone: when sampling began, and a graphics card made of numbers."""
import time

from fastapi import Body
from modules import script_callbacks, sd_models

began = []


def note(params):
    if params.sampling_step == 0:
        began.append(time.time())


def add_routes(_demo, app):
    from personal_avatar import room
    from personal_avatar.webui import sharing

    real = room.card, room.count_anew

    @app.get("/probe/sampling")
    def sampling():
        """Unix seconds at which a picture's first step was made, in order."""
        return began

    @app.post("/probe/card")
    def card(free: int = Body(..., embed=True)):
        """From now on a card with so many free bytes is measured, and pictures that take 4 GiB; below 0: what is."""
        if free < 0:
            room.card, room.count_anew = real
        else:
            room.card = lambda device=None: room.Card(free, peak=4 * 2**30)
            room.count_anew = lambda device=None: None
        return {}

    @app.post("/probe/make_room")
    def make_room(wanted: int = Body(..., embed=True)):
        """Whether the checkpoint went, and where its weights are."""
        went = sharing.checkpoint().make_room(wanted, print)
        return {"went": went, "device": str(next(sd_models.model_data.sd_model.parameters()).device)}


script_callbacks.on_cfg_denoiser(note)
script_callbacks.on_app_started(add_routes)
