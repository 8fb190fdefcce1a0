"""Which fields are rendered: how many, where on the sky, with what in them."""

import numbers
from dataclasses import dataclass, replace

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from astro_objdet.errors import InputError, check_choice, check_count, check_positive
from astro_objdet.skies.conditions import SURVEYS, Survey
from astro_objdet.skies.simulate import check_rendering, render_field
from astro_objdet.skies.splits import FRACTIONS, NSIDE, split_cells

__all__ = ["PARTS", "FieldPlan", "plan_fields"]

#: Parts of the sky that never meet, by their share: see `split_cells`.
PARTS = FRACTIONS

# Share of the sky that fields at random places which do not overlap come to, on the safe side.
_FILLED = 0.2
# Which cells of sky, of `NSIDE`, belong to which part.
_CELL_SEED = 0


@dataclass(frozen=True)
class FieldPlan:
    """What is rendered; field k is a function of the plan and k alone.

    Attributes
    ----------
    survey : `Survey`
        Each field draws its own PSF from the survey's spread.
    size : int
        Side of the square fields in pixels.
    seed : int
    parts : tuple of str
        Parts of the sky, keys of `PARTS`, that all fields lie in; empty for any place.
    latitude : float
        Galactic latitude in degrees that all fields keep away from the plane.
    cluster_odds : tuple of float or None
        Odds of a field to get 0, 1, 2, ... clusters spread evenly over
        ``redshift_range``; None for nature's clusters.
    redshift_range : tuple of float
    noise, artefacts : bool
    bright_excess : float
    faintest : float or None
        As `~astro_objdet.skies.simulate.render_field` takes them.
    """

    survey: Survey
    size: int
    seed: int
    parts: tuple = ()
    latitude: float = 25.0
    cluster_odds: tuple | None = None
    redshift_range: tuple = (0.07, 0.47)
    noise: bool = True
    artefacts: bool = True
    bright_excess: float = 1.0
    faintest: float | None = None

    def __post_init__(self):
        check_rendering(self.redshift_range, self.bright_excess, self.faintest)
        if self.cluster_odds is not None:
            _check_odds(self.cluster_odds)

    @property
    def field_area(self):
        """Square degrees of one field."""
        return (self.size * self.survey.pixel_scale / 3600) ** 2

    def places(self, count):
        """RA and Dec in degrees of the middles of ``count`` fields, (count, 2), and their parts.

        No two fields overlap. The first fields of a longer list are those of a shorter one.
        """
        sky, names, block = np.empty((0, 2)), np.empty(0, "U16"), 0
        while len(sky) < count:
            if block > 20 + count // 20:
                raise InputError(
                    f"area: only {len(sky)} of {count} fields of {self.size} px find room in "
                    f"{', '.join(self.parts) or 'the sky'} above a galactic latitude of "
                    f"{self.latitude:g} deg"
                )
            rng = np.random.default_rng([self.seed, 10, block])
            ra = rng.uniform(0, 360, 1000)
            dec = np.degrees(np.arcsin(rng.uniform(-1, 1, 1000)))
            kept = np.abs(SkyCoord(ra, dec, unit="deg").galactic.b.deg) > self.latitude
            part = np.full(len(ra), "", dtype="U16")
            if self.parts:
                part[kept] = self._parts_of(ra[kept], dec[kept])
                kept &= np.isin(part, self.parts)
            sky = np.concatenate([sky, np.column_stack([ra, dec])[kept]])
            names = np.concatenate([names, part[kept]])
            free = self._apart(sky)
            sky, names, block = sky[free], names[free], block + 1
        return sky[:count], names[:count]

    def _apart(self, sky):
        """Which of the positions stand clear of all before them that do."""
        coords = SkyCoord(sky, unit="deg")
        diagonal = 1.5 * self.size * self.survey.pixel_scale * u.arcsec
        first, second, *_ = coords.search_around_sky(coords, diagonal)
        free = np.ones(len(sky), dtype=bool)
        for late, early in zip(first, second, strict=True):  # ordered by the first
            if early < late and free[early]:
                free[late] = False
        return free

    def _parts_of(self, ra, dec):
        """Part of the sky of each position; empty where a field would touch two."""
        side = self.size * self.survey.pixel_scale * u.arcsec
        split = split_cells(
            ra, dec, size=side, nside=NSIDE, fractions=PARTS, seed=_CELL_SEED, border="drop"
        )
        return split.names

    def render(self, number, place):
        """Field ``number`` at ``place`` (RA, Dec): a `RenderedField`."""
        rng = np.random.default_rng([self.seed, 20, number])
        clusters = None
        if self.cluster_odds is not None:
            odds = np.array(self.cluster_odds, dtype=float)
            clusters = int(rng.choice(len(odds), p=odds / odds.sum()))
        return render_field(
            self.survey.drawn(rng),
            (self.size, self.size),
            seed=[self.seed, 30, number],
            clusters=clusters,
            redshift_range=self.redshift_range,
            center=tuple(place),
            noise=self.noise,
            artefacts=self.artefacts,
            bright_excess=self.bright_excess,
            faintest=self.faintest,
        )


def _check_odds(odds):
    """Refuse what is no probability even when divided by its sum."""
    try:
        values = np.array(odds, dtype=float)
    except (TypeError, ValueError):
        values = np.full(1, np.nan)
    if values.ndim != 1 or not (values >= 0).all() or not 0 < values.sum() < np.inf:
        raise InputError(
            f"cluster_odds must be finite numbers from 0 up, one of them above 0, got {odds!r}"
        )


def plan_fields(survey="sdss", area=1.0, *, seed, size=2048, binning=1, seeing_spread=None, **more):
    """A plan and the number of fields that cover an area.

    Parameters
    ----------
    survey : str
        Name in `SURVEYS`.
    area : float
        Square degrees in all.
    seed : int
    size : int
        Side of the fields in pixels, after binning.
    binning : float
        Average over as many of the survey's pixels each way, from 1 up.
    seeing_spread : float, optional
        Another rms of ln(PSF FWHM) than the survey's.
    **more
        Further attributes of `FieldPlan`.

    Returns
    -------
    plan : `FieldPlan`
    count : int

    Raises
    ------
    InputError
        For an unknown survey or part of the sky, or a number that breaks its rule.
    """
    check_choice("survey", survey, SURVEYS)
    check_positive("area", area)
    size, seed = check_count("size", size), check_count("seed", seed, 0)
    if not (isinstance(binning, numbers.Real) and 1 <= binning < np.inf):
        raise InputError(f"binning must be a number from 1 up, got {binning!r}")
    for part in more.get("parts", ()):
        check_choice("parts", part, PARTS)
    conditions = SURVEYS[survey]
    if seeing_spread is not None:
        check_positive("seeing_spread", seeing_spread)
        conditions = replace(conditions, psf_spread=seeing_spread)
    if binning > 1:
        conditions = conditions.binned(binning)
    plan = FieldPlan(conditions, size, seed, **more)
    _check_room(area, plan)
    return plan, max(1, int(np.ceil(area / plan.field_area - 1e-9)))


def _check_room(area, plan):
    """Refuse more sky than there is; fields at random places fill a part of it."""
    share = sum(PARTS[part] for part in set(plan.parts)) if plan.parts else 1
    away = 1 - np.sin(np.radians(plan.latitude))
    room = _FILLED * share * away * 41252.96
    if area > room:
        where = f" in {', '.join(plan.parts)}" if plan.parts else ""
        raise InputError(
            f"area must be at most {room:.0f} square degrees{where}, what fields at random places "
            f"above a galactic latitude of {plan.latitude:g} deg can fill, got {area:g}"
        )
