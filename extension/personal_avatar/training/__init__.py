"""Dataset and plan -> checkpoint. Everything here except plan.py runs in the worker process only."""
