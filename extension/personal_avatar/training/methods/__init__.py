"""What is trainable and how it is saved, one file a method."""
