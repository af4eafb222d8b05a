"""avatar-tiny: draw portraits, train a small Stable-Diffusion-1-layout checkpoint on them, export it, measure it."""
