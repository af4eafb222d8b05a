"""What a training learns from: photos, captions and pictures of the class, as latents, text states and batches."""
