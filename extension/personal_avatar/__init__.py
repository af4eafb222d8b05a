"""Personal Avatar: photos in, avatars out. Importing this package costs nothing."""

__version__ = "0.6.0"
