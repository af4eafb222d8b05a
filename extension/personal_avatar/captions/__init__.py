"""Captions: where they lie, what makes them, what is wrong with them, how they are edited."""
