"""Archives of labelled images: what the subcommands of ``astro-objdet dataset`` do."""

from astro_objdet.skies.datasets.building import build
from astro_objdet.skies.datasets.fetching import fetch
from astro_objdet.skies.datasets.making import BuildReport
from astro_objdet.skies.datasets.showing import preview, show
from astro_objdet.skies.datasets.splitting import split

__all__ = ["BuildReport", "build", "fetch", "preview", "show", "split"]
