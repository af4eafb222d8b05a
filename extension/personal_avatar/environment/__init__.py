"""Where the work runs: the WebUI's environment, which we leave as it is, the trainer's packages, and the machine.

Everything that install.py needs is standard library only: it runs before anything of ours is installed.
"""
