"""One photo, no training: InstantID and IP-Adapter FaceID put into a UNet for the time of a generation."""
