"""Names of what a job that can be taken up again leaves in its folder. Standard library only."""
from __future__ import annotations

STATE_FOLDER = "state"
ASIDE_FOLDER = "state-aside"  # one that could not be used
STATE_COMPLETE = "complete.json"  # in a state's folder, written last
