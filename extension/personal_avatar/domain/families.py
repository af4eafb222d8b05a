"""The families of checkpoints in numbers: of those that each began with, which most of the others go by."""
from __future__ import annotations

from personal_avatar.domain.trainings import Family

NATIVE_PX = {Family.SD1: 512, Family.SD2: 768, Family.SDXL: 1024}  # side of the pictures that they were trained on
NATIVE_PX_OF_SD2_EPSILON = 512
# How wide what the UNet's cross-attentions read is, which is also the width of a word (of both words together in SDXL).
OF_WIDTH = {768: Family.SD1, 1024: Family.SD2, 2048: Family.SDXL}
# How many cross-attentions there are; Stable Diffusion 2 has as many as 1.
OF_CROSS_ATTENTIONS = {16: Family.SD1, 70: Family.SDXL}
