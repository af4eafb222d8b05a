"""Which pictures are ours, by what they say of their making; knows no WebUI."""
from __future__ import annotations

import re
from collections.abc import Collection

from personal_avatar.identity.infotext import PREFIX

NETWORK = re.compile(r"<lora:([^:>]+)")


def is_ours(infotext: str, networks: Collection[str]) -> bool:
    """Whether a picture was made with a person that we put in: by a setting of ours or one of `networks`."""
    return PREFIX in infotext or not set(networks).isdisjoint(NETWORK.findall(infotext))
