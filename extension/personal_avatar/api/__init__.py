"""Routes and schemas; knows Studio, not the host."""
