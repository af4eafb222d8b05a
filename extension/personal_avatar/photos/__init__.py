"""Photo -> dataset: read, detect, select, crop, caption, write, report."""
