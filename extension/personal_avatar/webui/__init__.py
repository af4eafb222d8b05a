"""The Host for AUTOMATIC1111: the only place that imports `modules`."""
