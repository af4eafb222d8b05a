"""Registers Personal Avatar with the WebUI; everything else is in extension/personal_avatar."""
import sys
from pathlib import Path

from modules import scripts

sys.path.insert(0, str(Path(scripts.basedir()) / "extension"))

from personal_avatar.webui import register

register.register()
# The WebUI looks for its scripts among the names of this file.
PersonalAvatar = register.script()
PersonalAvatarExtras = register.extras()
