"""Services that send images of the sky by position, each in one file, and what they share."""

from astro_objdet.skies.services.entries import (
    ImageSurvey,
    find_image_survey,
    list_image_surveys,
)

__all__ = ["ImageSurvey", "find_image_survey", "list_image_surveys"]
