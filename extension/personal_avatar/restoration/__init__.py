"""Face crop -> better crop -> pasted back, kept only when the person stays the same."""
