"""Detectors and recognisers behind one protocol, and alignment."""
