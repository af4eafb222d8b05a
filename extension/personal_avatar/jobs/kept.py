"""Names of what the work of a job puts into its folder: its results, what it goes on from, and what it needs meanwhile.
Standard library only."""
from __future__ import annotations

ARTIFACTS_FOLDER = "artifacts"
STATE_FOLDER = "state"
ASIDE_FOLDER = "state-aside"  # one that could not be used
STATE_COMPLETE = "complete.json"  # in a state's folder, written last
TEAM_FOLDER = "team"  # what the processes of one work share while they run; nothing goes on from it
