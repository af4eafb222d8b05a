"""An extension for the tests alone: asks our host inside the running WebUI."""
from pathlib import Path

from fastapi import Body
from modules import script_callbacks


def add_routes(_demo, app):
    from personal_avatar.errors import AvatarError
    from personal_avatar.webui import register, restorers

    host = register.studio().host

    def answered(ask):
        try:
            return {"answer": ask()}
        except AvatarError as error:
            return {"error": error.to_json()}

    @app.post("/probe/published")
    def published(file: str = Body(..., embed=True)):
        return answered(lambda: host.published(Path(file)))

    @app.post("/probe/find_checkpoint")
    def find_checkpoint(wanted: str = Body(..., embed=True)):
        return answered(lambda: host.find_checkpoint(wanted))

    @app.get("/probe/checkpoint")
    def checkpoint():
        return answered(host.checkpoint)

    @app.get("/probe/restorers")
    def listed():
        return answered(host.restorers)

    @app.post("/probe/present")
    def present(codeformer: str = Body(..., embed=True), gfpgan: str = Body(..., embed=True)):
        return answered(lambda: restorers.present(Path(codeformer), Path(gfpgan)))

    @app.get("/probe/folders")
    def folders():
        return answered(host.folders)


script_callbacks.on_app_started(add_routes)
