"""Measures what a training costs and how soon it reaches a likeness, against other programs on the same work."""
