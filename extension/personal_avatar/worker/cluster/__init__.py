"""Jobs on machines of a Ray cluster: what travels, how it is kept there, and how it comes back."""
