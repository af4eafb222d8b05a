"""Where the work runs: the WebUI's environment that we leave as it is, the trainer's packages, and what `doctor` says of both.

Everything that install.py needs is standard library only: it runs before anything of ours is installed.
"""
