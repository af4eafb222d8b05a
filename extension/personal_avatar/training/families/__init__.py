"""Load, encode, predict and name the keys, one file a model family."""
