"""Finished pictures: their order, favourites, the sizes to take along, archives."""
