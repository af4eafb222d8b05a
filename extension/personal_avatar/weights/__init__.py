"""What can be downloaded: url or carrier package, sha256, size, licence."""
