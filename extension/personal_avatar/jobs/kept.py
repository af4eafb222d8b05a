"""Names of what lies in the folder of a job: what was asked for, how it stands, what it tells; of what its work puts
there its results, what it goes on from, and what it needs meanwhile. Standard library only."""
from __future__ import annotations

JOB_FILE, STATUS_FILE, EVENTS_FILE, LOG_FILE = "job.json", "status.json", "events.jsonl", "log.txt"
CONTROL_FOLDER = "control"  # wishes, see control.py
ARTIFACTS_FOLDER = "artifacts"
STATE_FOLDER = "state"
ASIDE_FOLDER = "state-aside"  # one that could not be used
STATE_COMPLETE = "complete.json"  # in a state's folder, written last
TEAM_FOLDER = "team"  # what the processes of one work share while they run; nothing goes on from it
