"""Fresh clusters and groups for training views of rendered sky: light adds up."""

import numpy as np

from astro_objdet.catalogs.cosmology import kpc_per_arcsec
from astro_objdet.skies.conditions import Survey
from astro_objdet.skies.drawing import draw_sources
from astro_objdet.skies.populations.haloes import draw_richness
from astro_objdet.skies.populations.members import cluster_galaxies
from astro_objdet.skies.rendering import Roles
from astro_objdet.skies.simulate import BOX_HALF_WIDTH_KPC, faintest_drawn

__all__ = ["Implanter"]

#: Share of the haloes that are clusters above the richness cut, with redMaPPer's richness,
#: and of those just below it, which are ignored; the rest are decoys.
SHARES = (0.5, 0.15)
#: Redshifts go so far beyond those of targets.
BEYOND = 0.03
#: Places tried for a halo that is not to fall on another one.
TRIES = 8


class Implanter:
    """Draws clusters and groups into noiseless views of an archive of rendered sky.

    A detection network soon knows the few thousand clusters of an archive by heart; these
    it never sees twice. They are drawn by the code that rendered the archive, in its
    survey's seeing and pixels.

    Parameters
    ----------
    archive : `~astro_objdet.skies.archive.Archive`
        One that `~astro_objdet.skies.rendering.render_archive` made without noise.
    mean : float
        Haloes per view, by Poisson's chance.

    Attributes
    ----------
    roles : `~astro_objdet.skies.rendering.Roles`
        What a halo is to training: as the archive's own.
    """

    def __init__(self, archive, mean):
        told = archive.provenance
        self.mean = mean
        self.survey = Survey(**told["plan"]["survey"])
        faintest = told["plan"]["faintest"]
        self.faintest = faintest_drawn(self.survey) if faintest is None else faintest
        self.roles = Roles(**told["roles"])

    def __call__(self, image, boxes, rng):
        """Add haloes to an image, in place.

        Parameters
        ----------
        image : `numpy.ndarray` (band, ny, nx), float32
            Nanomaggy per square arcsec, in the archive's bands; NaN where masked.
        boxes : `numpy.ndarray` (n, 4)
            Of objects that no halo is to fall on.
        rng : `numpy.random.Generator`

        Returns
        -------
        boxes : `numpy.ndarray` (k, 4)
        roles : `numpy.ndarray` (k,) of str
        properties : dict of str to `numpy.ndarray` (k,)
            ``richness`` and ``redshift``.
        """
        count = rng.poisson(self.mean)
        survey = self.survey.drawn(rng)
        richness, redshift = self._drawn(rng, count)
        half = BOX_HALF_WIDTH_KPC / kpc_per_arcsec(redshift) / survey.pixel_scale
        placed = []
        for k in range(count):
            centre = _free_place(image, boxes, half[k], rng)
            if centre is None:
                continue
            galaxies = cluster_galaxies(
                rng, *(centre - 0.5), redshift[k], richness[k], survey.pixel_scale, self.faintest
            )
            image += draw_sources(galaxies, image.shape[1:], survey)
            boxes = np.vstack([boxes, [*(centre - half[k]), *(centre + half[k])]])
            placed.append(k)
        richness, redshift = richness[placed], redshift[placed]
        new = boxes[len(boxes) - len(placed) :]
        known = {"richness": richness, "redshift": redshift}
        return new, self.roles(richness, redshift), known

    def _drawn(self, rng, count):
        """Richness and redshift of so many haloes."""
        cut, ignored = self.roles.richness, self.roles.ignored_richness
        poorest = min(self.roles.decoy_richness, ignored)
        rich = np.maximum(draw_richness(rng, count), cut)
        between, poor = rng.uniform(ignored, cut, count), rng.uniform(poorest, ignored, count)
        u = rng.random(count)
        richness = np.where(u < SHARES[0], rich, np.where(u < sum(SHARES), between, poor))
        low, high = self.roles.redshift
        low, high = 0.08 if low is None else low, 0.5 if high is None else high
        redshift = rng.uniform(max(low - BEYOND, 0.02), high + BEYOND, count)
        return richness, redshift


def _free_place(image, boxes, half, rng):
    """A centre (x, y) in pixel edges: not masked, and not in the inner part of a box."""
    ny, nx = image.shape[1:]
    middle, reach = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2] - boxes[:, 0]) / 2
    for _ in range(TRIES):
        centre = rng.uniform(8, (nx - 8, ny - 8))
        far = np.hypot(*(middle - centre).T)
        x, y = centre.astype(int)
        around = image[:, max(y - 8, 0) : y + 9, max(x - 8, 0) : x + 9]
        if (far > np.maximum(reach, half)).all() and np.isfinite(around).all():
            return centre
    return None
