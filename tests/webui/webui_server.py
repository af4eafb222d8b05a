"""A real WebUI in a process of its own, with a data folder of its own, on a free port."""
from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.ports import free_port

REPOSITORY = Path(__file__).resolve().parents[2]
FLAGS = (
    "--skip-torch-cuda-test", "--skip-version-check", "--use-cpu", "all", "--no-half", "--precision", "full",
    "--no-download-sd-model", "--api", "--loglevel", "INFO",
)
READY = "Startup time: "
CONFIG = REPOSITORY / "extension" / "personal_avatar" / "assets" / "avatar-tiny" / "avatar-tiny.yaml"
NATIVE_PX = 8 * int(re.findall(r"image_size: (\d+)", CONFIG.read_text(encoding="utf-8"))[0])
ENDED = ("succeeded", "failed", "cancelled")


def webui_folder() -> Path:
    """Where the tests look for a WebUI: WEBUI_DIR, else ~/stable-diffusion-webui."""
    return Path(os.environ.get("WEBUI_DIR") or Path.home() / "stable-diffusion-webui")


def webui_python(folder: Path) -> Path:
    return folder / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@dataclass
class Server:
    """One WebUI. `flags` are added to the usual ones; use as a context manager."""

    data: Path
    flags: tuple[str, ...] = ()
    prepare: bool = False
    wait_s: float = 240.0
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_file(self) -> Path:
        return self.data / "webui.log"

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def __enter__(self) -> Server:
        folder = webui_folder()
        prepare = () if self.prepare else ("--skip-prepare-environment",)
        command = [
            str(webui_python(folder)), "-u", "launch.py", *FLAGS, *prepare, "--port", str(self.port),
            "--data-dir", str(self.data), *self.flags,
        ]
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env=_environment(folder), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_ready(self, starts: int = 1) -> None:
        """Until it has started for the `starts`th time and a picture can be made."""
        end = time.monotonic() + self.wait_s
        while time.monotonic() < end:
            assert self.alive(), f"the WebUI ended while it started:\n{self.log()[-3000:]}"
            if self.log().count(READY) >= starts and self._answers():
                return
            time.sleep(0.2)
        raise TimeoutError(f"the WebUI was not ready after {self.wait_s:.0f} s:\n{self.log()[-3000:]}")

    def _answers(self) -> bool:
        """The model is loaded only when a picture comes out, whatever the port says; 401: a login is wanted."""
        small = {"steps": 1, "width": 64, "height": 64}
        try:
            answer = self.post("/sdapi/v1/txt2img", {**picture_request("a portrait"), **small})
        except httpx.TransportError:
            return False
        return answer.status_code in (200, 401)

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        if self.process is None:
            return
        if self.alive():
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)

    def processor_s(self) -> float:
        """Processor time that the process has used until now."""
        assert self.process is not None
        spent = psutil.Process(self.process.pid).cpu_times()
        return float(spent.user + spent.system)

    def settle(self, quiet_s: float = 2.0, at_most_s: float = 30.0) -> None:
        """Until nothing was logged for a while. A page that is closed while gradio 3.41 still works for it leaves a
        task behind, for which "Reload UI" waits for ever."""
        end, seen, since = time.monotonic() + at_most_s, -1, time.monotonic()
        while time.monotonic() < min(end, since + quiet_s):
            if len(self.log()) != seen:
                seen, since = len(self.log()), time.monotonic()
            time.sleep(0.1)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(self.url + path, timeout=120, **options)

    def post(self, path: str, body: dict[str, Any] | None = None, **options: Any) -> httpx.Response:
        return httpx.post(self.url + path, json=body if body is not None else {}, timeout=300, **options)

    def delete(self, path: str) -> httpx.Response:
        return httpx.delete(self.url + path, timeout=60)

    def txt2img(self, prompt: str, **changes: Any) -> dict[str, Any]:
        """A picture by the WebUI's own API: its answer with `info` read."""
        answer = self.post("/sdapi/v1/txt2img", {**picture_request(prompt), **changes})
        assert answer.status_code == 200, answer.text
        document = answer.json()
        return {**document, "info": json.loads(document["info"])}

    def job(self, job_id: str) -> dict[str, Any]:
        answer = self.get(f"/personal-avatar/v1/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def wait_job(self, job_id: str, until: tuple[str, ...] = ENDED, wait_s: float = 420) -> dict[str, Any]:
        """The job's document when it has reached one of the states."""
        end = time.monotonic() + wait_s
        while (job := self.job(job_id))["state"] not in until:
            assert time.monotonic() < end, f"the job is still {job['state']}: {job}"
            assert job["state"] not in ENDED, job
            time.sleep(0.3)
        return job


def picture_request(prompt: str) -> dict[str, Any]:
    return {
        "prompt": prompt, "seed": 7, "steps": 12, "cfg_scale": 4, "width": NATIVE_PX, "height": NATIVE_PX,
        "sampler_name": "DPM++ 2M", "scheduler": "Automatic", "save_images": False,
    }


def _environment(folder: Path) -> dict[str, str]:
    """Offline, one thread, no browser, none of the test run's Python settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COMMANDLINE_ARGS"))}
    return {
        **kept, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1",
        "SD_WEBUI_RESTARTING": "1", "GRADIO_ANALYTICS_ENABLED": "False", "no_proxy": "localhost,127.0.0.1",
        "VIRTUAL_ENV": str(folder / "venv"), "PATH": f"{webui_python(folder).parent}{os.pathsep}{kept.get('PATH', '')}",
    }
