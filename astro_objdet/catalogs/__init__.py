"""Tables on the sky: detections and what is done with them. No torch."""

from astro_objdet.catalogs.detections import Detections

__all__ = ["Detections"]
