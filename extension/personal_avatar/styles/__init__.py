"""Style templates: prompts with a place for the subject."""
