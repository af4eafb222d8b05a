"""The ControlNet of InstantID ("IdentityNet"): where a face is, and whose, for the skip connections of a UNet."""
from __future__ import annotations

from personal_avatar.identity.net.context import Context as Context
from personal_avatar.identity.net.loading import load_net as load_net
from personal_avatar.identity.net.network import IdentityNet as IdentityNet
