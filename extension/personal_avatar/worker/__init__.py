"""The child process: python -m personal_avatar.worker <job folder>."""
