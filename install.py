"""Run by the WebUI at every start: makes sure that training has its packages. Quick and silent when they are there.

By hand, with the WebUI's Python: python install.py. What it does and why: extension/personal_avatar/environment.
"""
import sys
from pathlib import Path

EXTENSION = Path(__file__).absolute().parent


def say(message: str) -> None:
    sys.stdout.write(message + "\n")
    sys.stdout.flush()


def main() -> None:
    sys.path.insert(0, str(EXTENSION / "extension"))
    from personal_avatar.environment import setup

    setup.main(EXTENSION, say)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # noqa: BLE001 - whatever is wrong here must not keep the WebUI from starting
        say(f"Personal Avatar: the installation stopped: {type(error).__name__}: {error}. The WebUI is not affected.")
