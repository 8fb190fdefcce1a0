"""Which bands of an image become red, green and blue."""

import warnings

from astro_objdet.errors import BandWarning, InputError

__all__ = ["choose_channels"]

#: Bands from blue to red.
_SPECTRUM = ("u", "g", "r", "i", "z", "y", "J", "H", "K")


def choose_channels(stack, wanted):
    """The bands of a stack that a recipe sees, red first.

    Parameters
    ----------
    stack : `astro_objdet.images.BandStack`
    wanted : tuple of str
        The recipe's bands, red first.

    Returns
    -------
    tuple of str
        Names out of ``stack.bands``: the three wanted where all are there; of three
        others the reddest as red; or the single one, shown in all channels.

    Raises
    ------
    InputError
        Naming the bands wanted and those there.

    Warns
    -----
    BandWarning
        When other bands stand in for those the recipe was made for.
    """
    have = stack.bands
    if all(band in have for band in wanted):
        return tuple(wanted)
    need = f"the recipe is made for {', '.join(wanted)} (red, green, blue)"
    if len(have) == 1:
        warnings.warn(
            f"{need}; the one band {have[0]} stands in for all three",
            BandWarning,
            stacklevel=3,
        )
        return have
    if len(have) == 3:
        known = all(band in _SPECTRUM for band in have)
        chosen = have
        if known:
            chosen = tuple(sorted(have, key=_SPECTRUM.index, reverse=True))
        if known or stack.stretched:
            warnings.warn(f"{need}; {', '.join(chosen)} stand in", BandWarning, stacklevel=3)
            return chosen
    raise InputError(
        f"{need}, and the image has {', '.join(have)}; name its bands in their "
        "order, or choose three, with bands"
    )
