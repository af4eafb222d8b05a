"""What can be said on the command line: a file a topic, each declares commands; the work is in `commands`."""
