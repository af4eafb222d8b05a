"""A training as it is asked for: settings, presets, and what they will need. Nothing here loads torch."""
