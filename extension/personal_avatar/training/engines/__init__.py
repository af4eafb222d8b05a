"""Other programs that can do the training of a job; everything before and after it stays ours."""
