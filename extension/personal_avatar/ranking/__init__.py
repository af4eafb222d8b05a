"""Candidates -> scores -> order."""
