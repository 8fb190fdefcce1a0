"""Pictures for talks and papers."""

from astro_objdet.plots.skyview import overlay

__all__ = ["overlay"]
