"""A person in the pictures of txt2img and img2img: the AlwaysVisible script, its panel, its place in a generation."""
