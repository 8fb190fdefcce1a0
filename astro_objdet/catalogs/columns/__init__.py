"""Finding the columns of a table, and reading them with care for bad rows."""

from astro_objdet.catalogs.columns.values import (
    ColumnValues,
    SkyPositions,
    guess_column,
    numeric_values,
    position_names,
    redshift_values,
    sky_positions,
)

__all__ = [
    "ColumnValues",
    "SkyPositions",
    "guess_column",
    "numeric_values",
    "position_names",
    "redshift_values",
    "sky_positions",
]
