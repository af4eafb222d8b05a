"""The use cases: what page, API and command line may ask for. They know the host by its protocol alone."""

from personal_avatar.studio.requests import MAX_PHOTOS, CreateRequest, TrainRequest
from personal_avatar.studio.studio import Studio, pictures_in
from personal_avatar.studio.trainings import STYLE_NOUN

__all__ = ["MAX_PHOTOS", "STYLE_NOUN", "CreateRequest", "Studio", "TrainRequest", "pictures_in"]
