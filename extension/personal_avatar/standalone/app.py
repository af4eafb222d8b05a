"""The app without a WebUI: the same page and the same API on one port."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from personal_avatar.api.guard import Accounts
from personal_avatar.documents import API_PREFIX
from personal_avatar.errors import HostError
from personal_avatar.host import Rules
from personal_avatar.standalone.door import Door, OwnFiles, OwnNames, OwnPages
from personal_avatar.studio import Studio

REPOSITORY = Path(__file__).resolve().parents[3]
INSTALLED = Path(sys.prefix) / "share" / "personal-avatar"  # where a wheel puts what lies in the repository's root
TEMPORARY = "personal-avatar-"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
OWN_NAMES = ("127.0.0.1", "localhost", "[")  # "[::1]:7865" is cut at its first colon; no name begins so
OPEN_TO_ALL = (
    "WARNING: everybody who reaches this address{also} can see and erase all avatars and photos. Give accounts by "
    "--auth and --api-auth, or {other}.\n"
)
HEAD = (
    '<link rel="stylesheet" href="personal-avatar/page/style.css">'
    "<style>footer { display: none !important; }</style>"
    '<link rel="icon" href="data:,"><meta name="referrer" content="no-referrer">'
)
FOREIGN = re.compile(r"<(link|script)\b[^>]*https://(fonts|cdnjs)\.[^>]*>(\s*</script>)?")


class PortTaken(HostError):
    code = "PORT_TAKEN"


def build_app(studio: Studio, hosts: Sequence[str] = ("*",), accounts: Accounts = Accounts()) -> FastAPI:  # noqa: B008
    """API and page; the studio must be opened by the caller (see `serve`).

    `hosts`: names by which we may be called, "*" for any. `accounts`: who may come in; everybody where there are none.
    """
    from personal_avatar.api.routes import build_router

    app = FastAPI(title="Personal Avatar", docs_url="/docs", redoc_url=None)
    app.include_router(build_router(studio, lambda: accounts))
    app.add_middleware(Door, accounts=accounts)
    app.add_middleware(UploadLimit, limit_bytes=studio.host.rules().upload_bytes)
    app.add_middleware(OwnFiles)
    app.add_middleware(OwnPages)
    if "*" not in hosts:
        app.add_middleware(OwnNames, names=hosts)
    mount_page(app, studio)
    return app


def mount_page(app: FastAPI, studio: Studio) -> None:
    """Put the page at `/`, with our script and style, and nothing loaded from other hosts."""
    import gradio as gr

    from personal_avatar.ui.tab import build

    blocks = build(studio, theme=_theme())
    blocks.queue()
    blocks.allowed_paths, blocks.blocked_paths = [], []
    _mount_files(app)
    inner = gr.routes.App.create_app(_ready(blocks))
    inner.cwd = str(_empty_folder(studio))  # gradio gives out every file below this one
    inner.user_middleware = [one for one in inner.user_middleware if one.cls is not CORSMiddleware]
    inner.middleware_stack = inner.build_middleware_stack()  # gradio's lets every web page use this one
    page = next(route.endpoint for route in inner.routes if getattr(route, "path", "") == "/")

    @app.get("/", include_in_schema=False)
    def index(request: Request) -> Response:
        return _own_page(page(request, user=None))

    @app.on_event("startup")
    async def start_queue() -> None:
        blocks.startup_events()

    app.mount("/", inner)


def _page_folder() -> Path:
    """The folder that holds the page's style and scripts."""
    return REPOSITORY if (REPOSITORY / "style.css").is_file() else INSTALLED


def _scripts() -> dict[str, Path]:
    """Every script of the page by its name, in the order in which the WebUI loads them, too."""
    return {path.name: path for path in sorted((_page_folder() / "javascript").glob("*.js"))}


def _mount_files(app: FastAPI) -> None:
    """Scripts and style of the page."""
    app.get("/personal-avatar/page/style.css", include_in_schema=False)(
        lambda: FileResponse(_page_folder() / "style.css", media_type="text/css")
    )

    @app.get("/personal-avatar/page/{name}", include_in_schema=False)
    def script(name: str) -> Response:
        path = _scripts().get(name)
        return FileResponse(path, media_type="text/javascript") if path else Response(status_code=404)


def _empty_folder(studio: Studio) -> Path:
    folder = studio.host.folders().data / "cache" / "page"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _ready(blocks: Any) -> Any:
    """What gradio's own launch does before it serves."""
    blocks.dev_mode = False
    blocks.is_running = True
    blocks.show_api = False
    blocks.config = blocks.get_config_file()
    blocks.validate_queue_settings()
    return blocks


def _own_page(response: Response) -> Response:
    """gradio's page with our files in its head, without fonts and scripts from elsewhere, and free to be zoomed."""
    text = FOREIGN.sub("", response.body.decode("utf-8")).replace(", maximum-scale=1", "")
    scripts = "".join(f'<script src="personal-avatar/page/{name}" defer></script>' for name in _scripts())
    return Response(text.replace("</head>", HEAD + scripts + "</head>", 1), media_type="text/html")


def _theme() -> Any:
    """Calm colours and the system's own fonts: nothing is fetched."""
    import gradio as gr

    theme = gr.themes.Default(
        primary_hue="indigo",
        secondary_hue="indigo",
        neutral_hue="slate",
        font=["system-ui", "-apple-system", "Segoe UI", "Noto Sans", "Noto Sans CJK SC", "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    )
    return theme.set(
        body_text_color_subdued="*neutral_500",
        block_info_text_color="*neutral_500",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_700",
        button_primary_text_color="white",
        button_primary_border_color="*primary_600",
    )


class UploadLimit:
    """ASGI middleware: refuses bodies that are too large, also those that do not say how long they are. The API has
    words of its own for that."""

    def __init__(self, app: ASGIApp, limit_bytes: int) -> None:
        self._app, self._limit = app, limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(API_PREFIX + "/"):
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._limit:
            answer = JSONResponse({"detail": f"At most {self._limit // 2**20} MB at once."}, status_code=413)
            await answer(scope, receive, send)
            return
        await self._app(scope, self._counted(receive), send)

    def _counted(self, receive: Receive) -> Receive:
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            return {"type": "http.disconnect"} if seen > self._limit else message

        return counted


def serve(
    host: str = "127.0.0.1", port: int = 7865, data: Path | None = None, checkpoint: str = "",
    rules: Rules = Rules(), accounts: Accounts = Accounts(), known_as: Sequence[str] = (),  # noqa: B008
) -> None:
    """Serve until interrupted. `known_as`: names of a proxy in front of us. Raises `PortTaken`, or what the host raises
    when it cannot start."""
    import uvicorn

    _check_port(host, port)
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    _sweep()
    with tempfile.TemporaryDirectory(prefix=f"{TEMPORARY}{os.getpid()}-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        from personal_avatar.standalone.host import StandaloneHost

        own = StandaloneHost(data, host in LOOPBACK and not known_as, rules)
        if checkpoint:
            own.choose_checkpoint(checkpoint)
        studio = Studio(own)
        studio.open()
        shown = f"[{host}]" if ":" in host else host
        sys.stderr.write(f"Personal Avatar: http://{shown}:{port}/  (data in {own.folders().data})\n")
        if not (accounts.persons or accounts.services):
            sys.stderr.write(_warning(host, known_as))
        app = build_app(studio, [*OWN_NAMES, *known_as] if host in LOOPBACK else ["*"], accounts)
        asyncio.run(uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_level="warning")).serve())


def _warning(host: str, known_as: Sequence[str]) -> str:
    """What is said where there are no accounts; nothing where only this machine can call."""
    if host not in LOOPBACK:
        return OPEN_TO_ALL.format(also="", other="listen on 127.0.0.1")
    names = " or ".join(known_as)
    return OPEN_TO_ALL.format(also=f" as {names}", other="let the proxy ask for them") if names else ""


def _sweep() -> None:
    """Remove what servers that were killed left in the system's temporary folder: copies of photos and pictures."""
    import psutil

    for folder in Path(tempfile.gettempdir()).glob(f"{TEMPORARY}*-*"):
        number = folder.name.removeprefix(TEMPORARY).split("-")[0]
        if number.isdigit() and not psutil.pid_exists(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _check_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(f"Port {port} on {host} is in use.") from None
            raise HostError(
                f"Cannot listen on {host}:{port}: {error.strerror}.", "Choose another --host or --port."
            ) from None
