"""What trains: our own loop, or another program; everything before and after it is the same."""
