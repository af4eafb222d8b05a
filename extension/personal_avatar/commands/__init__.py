"""The commands of the command line: each takes the parsed arguments and a terminal, and returns the exit status."""
