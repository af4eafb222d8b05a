"""Jobs: a job is a directory, its states move through a table, its child speaks in typed events."""
