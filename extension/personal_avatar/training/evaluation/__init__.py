"""How good a checkpoint is: its pictures beside the held-out photos and beside those of the untrained checkpoint."""
