"""HEALPix cells that belong to one split each, and the images across their borders."""

import numpy as np
from astropy import units as u
from astropy_healpix import HEALPix

from astro_objdet.catalogs.sphere import ra_dec
from astro_objdet.errors import InputError
from astro_objdet.skies.leaks import footprint_points
from astro_objdet.skies.stable import stable_number, stable_uniform

__all__ = ["cell_grid", "cell_splits", "guarded", "keep_groups_whole", "move_units"]

# As many cells meet at a corner. Overlapping images that reach through more are a survey's tiles.
_CORNER = 4


def cell_grid(nside, size):
    """HEALPix cells, no smaller than the images."""
    if nside not in [2**order for order in range(14)]:
        raise InputError(f"nside must be a power of 2 from 1 to 8192, got {nside!r}")
    grid = HEALPix(nside=int(nside), order="nested")
    width = grid.pixel_resolution.to_value(u.arcsec)
    if size.max(initial=0) > width:
        raise InputError(
            f"nside={nside} has cells of {width:.0f} arcsec, smaller than images of "
            f"{size.max():.0f}; use a lower one"
        )
    return grid


def cell_splits(cells, fractions, seed):
    """The split of each cell, from its number and the seed alone."""
    edges = np.cumsum(list(fractions.values()))[:-1]
    drawn = stable_uniform(seed, [f"cell {cell}" for cell in cells])
    return np.array(list(fractions))[np.searchsorted(edges, drawn, side="right")]


def move_units(names, own, unit, n_units, of_cell, cells, seed):
    """Give each unit one split, in place; returns the images of units that reach too far."""
    order = np.argsort(unit, kind="stable")
    scattered = []
    for rows in np.split(order, np.searchsorted(unit[order], np.arange(1, n_units))):
        if len(rows) < 2 or (own[rows] == own[rows[0]]).all():
            continue
        inside, counts = np.unique(of_cell[rows], return_counts=True)
        if len(inside) > _CORNER:
            scattered.append(rows)
            continue
        ties = cells[inside[counts == counts.max()]]
        home = min(ties.tolist(), key=lambda cell: stable_number(seed, "home", cell))
        names[rows] = own[rows][cells[of_cell[rows]] == home][0]
    return np.concatenate(scattered) if scattered else np.empty(0, int)


def guarded(names, rows, ra, dec, size, grid, fractions, seed):
    """Leave out those of ``rows`` that touch cells of another split than their own."""
    names = names.copy()
    for start in range(0, len(rows), 10_000):
        some = rows[start : start + 10_000]
        lon, lat = ra_dec(footprint_points(ra[some], dec[some], size[some]).reshape(-1, 3))
        cell = np.asarray(grid.lonlat_to_healpix(lon * u.deg, lat * u.deg))
        cells, of_cell = np.unique(cell, return_inverse=True)
        touched = cell_splits(cells, fractions, seed)[of_cell].reshape(len(some), -1)
        names[some[(touched != names[some, None]).any(axis=1)]] = ""
    return names


def keep_groups_whole(names, groups):
    """Leave out, in place, the images of a group that are not where most of it is."""
    if groups is None:
        return
    groups = np.asarray(groups).astype(str)
    order = np.argsort(groups, kind="stable")
    starts = np.unique(groups[order], return_index=True)[1][1:]
    for rows in np.split(order, starts):
        inside, counts = np.unique(names[rows][names[rows] != ""], return_counts=True)
        if len(inside) > 1:
            names[rows[names[rows] != inside[np.argmax(counts)]]] = ""
