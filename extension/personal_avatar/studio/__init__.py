"""The use cases: what page, API and command line may ask for. They know the host by its protocol alone."""

from personal_avatar.studio.requests import (
    MAX_PHOTOS,
    STYLE_NOUN,
    CreateRequest,
    TrainRequest,
    means_style,
    meant,
    photos_meant,
)
from personal_avatar.studio.studio import Studio, pictures_in

__all__ = [
    "MAX_PHOTOS", "STYLE_NOUN", "CreateRequest", "Studio", "TrainRequest", "means_style", "meant", "photos_meant",
    "pictures_in",
]
