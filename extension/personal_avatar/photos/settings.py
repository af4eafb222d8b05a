"""What the photo report asks of a photo, and how pictures are cut out. Limits were measured: quality.py, persons.py."""
from __future__ import annotations

from personal_avatar.domain import Look
from personal_avatar.params import Settings, setting

HEAD, PORTRAIT, HALF, FULL = "head", "portrait", "half", "full"
FRAMINGS = (HEAD, PORTRAIT, HALF, FULL)
KEEP, BLUR, PLAIN = "keep", "blur", "plain"
AUTO, NETWORK, ELLIPSE = "auto", "network", "ellipse"
NEEDED, IGNORED = "needed", "ignored"
COLOUR = r"^#[0-9a-fA-F]{6}(?!\n)$"


class PhotoSettings(Settings):
    """Limits of the photo report and settings of the preparation.

    `look`: whether the pictures are photos or drawn, which decides who recognises people; "auto" tells it from them.
    `other_people`: "auto" tells people apart by the recogniser's limit, drawn ones by what is usual in the set as well;
    "threshold" only by the limit (for very different drawings of one character); "off" lets everybody pass.
    `faces`: "ignored" takes pictures of anything, for a style: nobody is looked for, they are trained whole and without
    masks of heads.
    `framing`: how photos are cut for training: "head" and "portrait" (head and shoulders) as squares, "half" upright
    from the head to the waist, "full" whole, in their own proportions.
    `max_upscale`: no picture shows its photo larger than this; where a photo is too small, the picture is. `upscaler`:
    the host's, for photos that would become small pictures; empty: none.
    `background`: "keep", "blur", or "plain" in `background_colour`. `matting`: how head and hair are told from what is
    behind them, for masks: "network" by one for portraits, "ellipse" by the place of the face alone, "auto" by the
    network when it is there. `caption_files`: whether a text file beside a photo, of the same name, is its caption.
    """

    look: str = setting(AUTO, "check.look", choices=(AUTO, Look.PHOTO.value, Look.DRAWN.value))
    faces: str = setting(NEEDED, "check.faces", choices=(NEEDED, IGNORED), advanced=True)
    min_face_px: int = setting(64, "check.min_face", ge=16, le=1024, step=8, unit="px")
    min_sharpness: float = setting(27, "check.min_sharpness", ge=0, le=100, step=1)
    min_brightness: float = setting(0.17, "check.min_brightness", ge=0, le=1, step=0.01, advanced=True)
    max_clipped: float = setting(0.2, "check.max_clipped", ge=0, le=1, step=0.01, advanced=True)
    max_yaw_deg: float = setting(60, "check.max_yaw", ge=10, le=90, step=1, unit="°", advanced=True)
    second_face_share: float = setting(0.45, "check.second_face", ge=0.05, le=1, step=0.05, advanced=True)
    other_people: str = setting("auto", "check.other_people", choices=("auto", "threshold", "off"), advanced=True)
    max_side_px: int = setting(8000, "check.max_side", ge=256, le=20000, step=100, unit="px", advanced=True)
    max_file_mb: int = setting(40, "check.max_file", ge=1, le=500, step=1, unit="MB", advanced=True)
    wanted_photos: int = setting(8, "check.wanted_photos", ge=1, le=100, step=1, advanced=True)
    framing: str = setting(PORTRAIT, "cut.framing", choices=FRAMINGS)
    background: str = setting(KEEP, "cut.background", choices=(KEEP, BLUR, PLAIN))
    background_colour: str = setting(
        "#808080", "cut.background_colour", regex=COLOUR, problem="problem.colour", advanced=True
    )
    matting: str = setting(AUTO, "cut.matting", choices=(AUTO, NETWORK, ELLIPSE), advanced=True)
    crop_margin: float = setting(2.2, "cut.crop_margin", ge=1, le=6, step=0.1, advanced=True)
    level_from_deg: float = setting(8, "cut.level_from", ge=0, le=90, step=1, unit="°", advanced=True)
    max_upscale: float = setting(2, "cut.max_upscale", ge=1, le=8, step=0.1, advanced=True)
    upscaler: str = setting("", "cut.upscaler", max_length=100, advanced=True)
    caption_template: str = setting("a photo of {trigger}", "cut.caption_template", max_length=300)
    caption_files: bool = setting(True, "cut.caption_files", advanced=True)
    repeats: int = setting(1, "cut.repeats", ge=1, le=1000, step=1, advanced=True)

    @property
    def wants_faces(self) -> bool:
        return self.faces == NEEDED

    @property
    def makes_portraits(self) -> bool:
        """Whether every picture that is trained on shows a face, and large."""
        return self.wants_faces and self.framing in (HEAD, PORTRAIT)
