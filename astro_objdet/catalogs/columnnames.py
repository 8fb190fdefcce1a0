"""How catalogues call their columns: by UCD and by the usual names.

Names come in ranks, best first. The first rank that the table has decides; two columns of that
rank are ambiguous. Nothing here looks at the values of a column.
"""

import difflib
import re
from dataclasses import dataclass

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from astro_objdet.errors import InputError, check_choice

__all__ = ["KINDS", "check_names", "find_column", "find_positions", "frame_of", "listed", "ucd_of"]

# A rank a line: the frame, and pairs of longitude and latitude in lower case, where blanks and
# brackets count as _. J2000 is taken for ICRS: FK5 is within 0.1 arcsec of it, and catalogues
# since Hipparcos mean ICRS by it.
_PAIRS = (
    "icrs ra,dec",
    "icrs ra_icrs,de_icrs ra_icrs,dec_icrs raicrs,deicrs raicrs,decicrs",
    "icrs raj2000,dej2000 raj2000,decj2000 ra_j2000,dec_j2000 ra_j2000,de_j2000 ra2000,dec2000",
    "icrs _raj2000,_dej2000 _raj2000,_decj2000 _ra_icrs,_de_icrs _ra.icrs,_de.icrs _ra,_de",
    "icrs radeg,decdeg radeg,dedeg ra_deg,dec_deg ra_deg,de_deg ra_d,dec_d rad,decd",
    "icrs right_ascension,declination rightascension,declination",
    "icrs alpha_j2000,delta_j2000",
    "icrs alphawin_j2000,deltawin_j2000",
    "icrs alphapeak_j2000,deltapeak_j2000 alphapsf_j2000,deltapsf_j2000",
    "icrs alpha_sky,delta_sky alphawin_sky,deltawin_sky",
    "icrs xwin_world,ywin_world",
    "icrs x_world,y_world",
    "icrs ra_targ,dec_targ ra_target,dec_target target_ra,target_dec",
    "icrs ra_obj,dec_obj ra_cluster,dec_cluster ra_cl,dec_cl cluster_ra,cluster_dec",
    "icrs ramean,decmean meanra,meandec ra_mean,dec_mean rastack,decstack",
    "icrs s_ra,s_dec plug_ra,plug_dec coord_ra,coord_dec",
    "icrs ra_bcg,dec_bcg rabcg,debcg rabcg,decbcg bcg_ra,bcg_dec bcg_radeg,bcg_decdeg",
    "icrs ra_opt,dec_opt ra_x,dec_x ra_sz,dec_sz",
    "icrs alpha,delta",
    "fk4 rab1950,deb1950 rab1950,decb1950 ra_b1950,dec_b1950 ra1950,dec1950 ra1950,de1950",
    "galactic glon,glat gal_lon,gal_lat gal_l,gal_b _glon,_glat",
    "barycentricmeanecliptic elon,elat ecl_lon,ecl_lat _elon,_elat",
    "supergalactic sgl,sgb sglon,sglat _sglon,_sglat",
    "galactic l,b",
)
_RANKS = [
    (line.split()[0], [tuple(pair.split(",")) for pair in line.split()[1:]]) for line in _PAIRS
]
# Longitude and latitude as UCD1+ and as UCD1 have them.
_UCD_PAIRS = (
    (("pos.eq.ra", "pos_eq_ra"), ("pos.eq.dec", "pos_eq_dec"), "icrs"),
    (
        ("pos.galactic.lon", "pos_gal_lon"),
        ("pos.galactic.lat", "pos_gal_lat"),
        "galactic",
    ),
    (
        ("pos.ecliptic.lon", "pos_ec_lon"),
        ("pos.ecliptic.lat", "pos_ec_lat"),
        "barycentricmeanecliptic",
    ),
)


@dataclass(frozen=True)
class _Kind:
    """A kind of column: a pattern of its whole UCD, and ranks of names."""

    ucd: str | None
    ranks: tuple
    numeric: bool = True


KINDS = {
    # Of a spectroscopic and a photometric column the first is often empty and the second rough:
    # they share a rank, so that having both asks for a decision. redMaPPer's z_lambda is complete.
    "redshift": _Kind(
        r"(src\.)?redshift([._;].*)?",
        (
            "redshift",
            "z",
            "z_best zbest best_z",
            "z_cl zcl z_cluster",
            "z_lambda zlambda",
            "z_spec zspec spec_z specz z_phot zphot zph photoz photo_z phot_z photz zred",
            "z_bcg zbcg bcg_z",
        ),
    ),
    # Named after the redshift's own column, see _ERRORS.
    "redshift_error": _Kind(r"stat\.error;src\.redshift.*", ()),
    "richness": _Kind(
        None,
        (
            "richness",
            "lambda lambda_chisq lambda_cl lambda_rm",
            "rl* rl_star rlstar rl rl*500",
            "n200 n_200 ngal ngals n_gal n_gals",
            "rich",
        ),
    ),
    "score": _Kind(None, ("score", "confidence conf")),
    "probability": _Kind(r"stat\.probability(;.*)?", ("probability", "prob", "p_cluster pcl")),
    "magnitude": _Kind(
        r"phot[._]mag(;.*)?",
        (
            "magnitude mag",
            "imag i_mag mag_i",
            "rmag r_mag mag_r",
            "i",
            "r",
            "m10",
            "mag_auto mag_bcg bcg_mag rmag_bcg imag_bcg",
        ),
    ),
    "id": _Kind(
        r"meta\.id(;.*)?|id_main",
        (
            "id",
            "name",
            "objid source_id object_id objectid mem_match_id cluster_id aco",
            "main_id designation cluster object",
        ),
        numeric=False,
    ),
    "label": _Kind(None, ("label", "class", "type", "text"), numeric=False),
}
_BANDS = {"u", "g", "r", "i", "y", "j", "h", "k"}
_ERRORS = "{}_err {}_error {}err {}error e_{} err_{} {}_e {}_unc sigma_{} {}_sigma {}_std"


def find_positions(table, side):
    """Return names of longitude and latitude, their frame, and how they were found.

    Parameters
    ----------
    table : `~astropy.table.Table`
    side : str
        Word for the table in messages: "left".

    Returns
    -------
    names : tuple of str
        Two, or one of a column of `~astropy.coordinates.SkyCoord`.
    frame : str
    how : str
        "SkyCoord", "UCD", "unit and name" or "name".

    Raises
    ------
    InputError
        If there is none, or more than one pair of the same rank.
    """
    coords = [name for name in table.colnames if isinstance(table[name], SkyCoord)]
    if coords:
        _check_one([(name,) for name in coords], side, "positions", "ra=")
        return (coords[0],), table[coords[0]].frame.name, "SkyCoord"
    names = [name for name in table.colnames if table[name].ndim == 1]
    pairs, frame = _pairs_by_ucd(table, names)
    if len(pairs) == 1:
        return pairs[0], frame_of(table, pairs[0]), "UCD"
    # Names decide between pairs that UCDs do not tell apart.
    named, named_frame = _pairs_by_name(table, names)
    chosen, frame = (named, named_frame) if named else (pairs, frame)
    if not chosen:
        raise InputError(
            f"{side} table: no columns with positions were recognised among "
            f"{listed(table)}; give them by name (ra=, dec=)"
        )
    _check_one(chosen, side, "positions", "ra=, dec=")
    units = [getattr(table[name], "unit", None) for name in chosen[0]]
    return chosen[0], frame, "unit and name" if all(map(_is_angle, units)) else "name"


def find_column(table, kind, side, required=False, of=None):
    """Return the name of the column of a kind, None if there is none.

    Parameters
    ----------
    table : `~astropy.table.Table`
    kind : str
        One of `KINDS`.
    side : str
        Word for the table in messages.
    required : bool, optional
        Whether there must be one.
    of : str, optional
        With an error, the column whose error it is.

    Raises
    ------
    InputError
        If it is required and not there, or several columns could be it and it is required or a
        redshift.
    """
    check_choice("kind", kind, KINDS)
    candidates = _candidates(table, kind, side, of)
    if len(candidates) == 1:
        return candidates[0]
    if candidates and (required or kind == "redshift"):
        _check_one([(name,) for name in candidates], side, kind, "by its name")
    if required:
        raise InputError(
            f"{side} table: no column with the {kind} was recognised among {listed(table)}; "
            "give it by name"
        )
    return None


def check_names(table, names, side, parameter=None):
    """Raise `InputError` unless the table has all these columns; it lists what there is."""
    for name in names:
        if name in table.colnames:
            continue
        folded = {str(known).lower(): known for known in table.colnames}
        close = difflib.get_close_matches(str(name).lower(), folded, n=3)
        hint = " or ".join(folded[key] for key in close)
        hint = f" (did you mean {hint}?)" if close else ""
        what = f"{parameter}: " if parameter else ""
        raise InputError(
            f"{side} table: {what}no column {str(name)!r}{hint}; it has {listed(table)}"
        )


def frame_of(table, pair):
    """Return the frame that the names of two columns mean, or their UCDs; ICRS without.

    The names come first, for a UCD does not tell B1950 from J2000.
    """
    folded = tuple(map(_fold, pair))
    for frame, pairs in _RANKS:
        if folded in pairs:
            return frame
    words = [ucd_of(table[name]).split(";")[0] for name in pair]
    for lon, lat, frame in _UCD_PAIRS:
        if words[0] in lon and words[1] in lat:
            return frame
    return "icrs"


def listed(table):
    """Return the names of all columns as text."""
    return ", ".join(table.colnames) if table.colnames else "no columns at all"


def ucd_of(column):
    """Return the UCD of a column in lower case, empty if it has none."""
    meta = getattr(getattr(column, "info", None), "meta", None) or {}
    ucd = next((value for key, value in meta.items() if str(key).lower() == "ucd"), None)
    return str(ucd or "").strip().lower().replace(" ", "")


def _pairs_by_ucd(table, names):
    """Return the pairs of the best UCD there is, those called main before others."""
    ucds = {name: ucd_of(table[name]) for name in names}
    for main in (True, False):
        for lon, lat, frame in _UCD_PAIRS:
            lons = [name for name in names if _has_ucd(ucds[name], lon, main)]
            lats = [name for name in names if _has_ucd(ucds[name], lat, main)]
            if lons and len(lons) == len(lats):
                return list(zip(lons, lats, strict=True)), frame
    return [], None


def _has_ucd(ucd, words, main):
    """Whether a UCD is first of all one of these words, and called main if it must be."""
    first, *rest = ucd.split(";")
    if main:
        return (first in words and "meta.main" in rest) or ucd in [f"{w}_main" for w in words]
    return first in words


def _pairs_by_name(table, names):
    folded = {}
    for name in names:
        folded.setdefault(_fold(name), []).append(name)
    for frame, pairs in _RANKS:
        found = [
            (first, second)
            for lon, lat in pairs
            for first, second in _couples(folded.get(lon, []), folded.get(lat, []))
        ]
        if pairs == [("l", "b")]:
            # One letter each: only with a unit that says they are angles.
            found = [pair for pair in found if all(_is_angle(table[name].unit) for name in pair)]
        if found:
            return found, frame
    return [], None


def _couples(lons, lats):
    """Pair names that differ only in their case: RA with DEC and ra with dec."""
    if len(lons) == len(lats):
        return zip(lons, lats, strict=True)
    return [(lon, lat) for lon in lons for lat in lats]


def _candidates(table, kind, side, of):
    """Return the columns that could be of a kind: one if that is clear."""
    rule = KINDS[kind]
    names = [name for name in table.colnames if _fits_kind(table[name], rule)]
    by_ucd = [n for n in names if rule.ucd and re.fullmatch(rule.ucd, ucd_of(table[n]))]
    by_ucd = [n for n in by_ucd if "main" in ucd_of(table[n])] or by_ucd
    if len(by_ucd) == 1:
        return by_ucd
    ranks = rule.ranks
    if kind == "redshift_error":
        of = of or find_column(table, "redshift", side)
        ranks = () if of is None else (_ERRORS.replace("{}", _fold(of)),)
    names = [name for name in names if not _is_other(table, name, kind)]
    for rank in ranks:
        found = [name for name in names if _fold(name) in rank.split()]
        if found:
            return found
    return by_ucd


def _is_other(table, name, kind):
    """Whether a column with a fitting name is something else: a z magnitude, say."""
    ucd = ucd_of(table[name])
    bands = len(_BANDS & {_fold(other) for other in table.colnames})
    if kind != "redshift_error" and ucd.startswith(("stat.error", "error")):
        return True
    if kind == "redshift":
        unit = getattr(table[name], "unit", None)
        if ucd.startswith("phot") or (unit is not None and unit != u.dimensionless_unscaled):
            return True
        return _fold(name) == "z" and bands >= 2
    return kind == "magnitude" and _fold(name) in _BANDS and bands < 2


def _fits_kind(column, rule):
    if column.ndim != 1 or not hasattr(column, "dtype"):
        return False
    return not rule.numeric or np.dtype(column.dtype).kind in "iuf"


def _check_one(found, side, what, option):
    if len(found) > 1:
        choices = " or ".join(", ".join(names) for names in found)
        raise InputError(f"{side} table: {what} could be {choices}; say which by name ({option})")


def _fold(name):
    """Return a name in lower case, with _ for blanks and brackets."""
    return re.sub(r"[\s(\[]+", "_", str(name).strip().lower()).rstrip(")]")


def _is_angle(unit):
    return unit is not None and getattr(unit, "physical_type", None) == "angle"
