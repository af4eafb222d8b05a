"""The tab, one file per panel; knows Studio, not the host."""
