"""Dataset and plan -> checkpoint. Everything here except plan.py and task.py runs in the worker process only."""
