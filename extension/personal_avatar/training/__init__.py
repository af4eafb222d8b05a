"""Dataset and plan -> checkpoint, in the process of a job; only `planning` is for everybody. The loop lies here."""
