"""The words that options take: codes of `domain` and of others, which are loaded only when a command runs.

Tests compare them with those.
"""
from __future__ import annotations

METHODS = ("lora", "dreambooth-lora", "dreambooth", "textual-inversion")
WAYS = (*METHODS, "one-photo")
ENGINES = ("diffusers", "kohya")
SIZES = ("original", "square", "portrait", "story", "linkedin", "round")
FORMATS = ("png", "jpeg", "webp")
STATES = ("queued", "running", "paused", "succeeded", "failed", "cancelled")
RULES = (
    "waiting", "waiting_of_one", "upload_mb", "private_callbacks", "restarts", "executor", "ray_address", "jobs_there",
)
GOALS = ("face", "face-quick", "face-best", "one-photo", "anime", "style")
