"""The published catalogues that can be fetched by name: where each is and what its columns mean.

Table ids and column names could not be tried out where this list was made. Each
entry says in ``columns_from`` where they were taken from; where they were not found,
columns are recognised by UCD, unit and name when the reply comes.
"""

import dataclasses
import difflib

from astro_objdet.errors import InputError

__all__ = ["ReferenceCatalogue", "find_catalogue", "list_catalogues"]

_TAP_VIZIER = "https://tapvizier.cds.unistra.fr/TAPVizieR/tap"
_ACKNOWLEDGEMENT = (
    "Cite the catalogue's paper. This research has made use of the VizieR catalogue access "
    "tool, CDS, Strasbourg, France (DOI 10.26093/cds/vizier; A&AS 143, 23)."
)
# VizieR computes these for every table, whatever the epoch and form of its own positions.
_POSITION = {
    "ra": ("_RA.icrs", "_RA_icrs", "_RAJ2000", "RAJ2000", "RA_ICRS", "RAdeg"),
    "dec": ("_DE.icrs", "_DE_icrs", "_DEJ2000", "DEJ2000", "DE_ICRS", "DEdeg"),
}
_README = "the table's description (ReadMe) at CDS"
_QUERIES = "public code that queries the table; its description was not seen"
_GUESSED = "not found: recognised by UCD, unit and name"


@dataclasses.dataclass(frozen=True)
class ReferenceCatalogue:
    """A published catalogue: where to get it, and which of its columns are which of ours.

    Attributes
    ----------
    name : str
        What it is asked for by.
    title : str
    reference : str
        Bibcode of the paper.
    tables : tuple of str
        Ids of its tables in VizieR, or of the whole catalogue there.
    columns : dict of str to tuple of str
        For each of our columns (id, ra, dec, redshift, redshift_error, richness,
        magnitude, mass) the names it may have, the likeliest first.
    columns_from : str
        Where the table ids and names were taken from.
    redshift : str
        What kind of redshift it is.
    richness : str
        What the richness counts; empty if there is none.
    rows : int or None
        How many objects the catalogue has, None if that was not found.
    id_prefix : str
        Put before ids that do not have it.
    id_prefix_repeated : str or None
        The prefix of ids that come a second time, in a supplement with its own count.
    mass_unit : str
        Of a mass column that has no unit.
    signatures : tuple of tuple of str
        Sets of column names by which a local file is recognised.
    tap_url : str or None
        TAP service to ask when VizieR does not answer.
    acknowledgement : str
        Terms of use.
    """

    name: str
    title: str
    reference: str
    tables: tuple[str, ...]
    columns: dict[str, tuple[str, ...]]
    columns_from: str
    redshift: str
    richness: str = ""
    rows: int | None = None
    id_prefix: str = ""
    id_prefix_repeated: str | None = None
    mass_unit: str = "1e14 Msun"
    signatures: tuple[tuple[str, ...], ...] = ()
    tap_url: str | None = _TAP_VIZIER
    acknowledgement: str = _ACKNOWLEDGEMENT

    @property
    def tap_query(self):
        """ADQL for the whole table; None where there are several or TAP is not to be used."""
        if self.tap_url is None or len(self.tables) > 1 or not _is_table(self.tables[0]):
            return None
        return f'SELECT * FROM "{self.tables[0]}"'


def _is_table(vizier_id):
    """Whether the id is of one table, not of a whole catalogue such as VII/110A."""
    parts = vizier_id.split("/")
    return len(parts) > (4 if parts[0] == "J" else 2)


def _entry(name, title, reference, tables, columns_from, redshift, *, columns=None, **more):
    tables = (tables,) if isinstance(tables, str) else tables
    columns = _POSITION | (columns or {})
    return ReferenceCatalogue(
        name, title, reference, tables, columns, columns_from, redshift, **more
    )


_REDMAPPER_COLUMNS = {
    "id": ("Name",),
    "redshift": ("zlambda", "Z_LAMBDA"),
    "redshift_error": ("e_zlambda", "Z_LAMBDA_ERR", "Z_LAMBDA_E"),
    "richness": ("lambda", "LAMBDA", "LAMBDA_CHISQ"),
    # Of the likeliest central galaxy.
    "magnitude": ("imag",),
}
_LAMBDA = "lambda: number of red-sequence galaxies above 0.2 L*, weighted by membership probability"
_WEN_COLUMNS = {
    "id": ("WHL", "WH", "Name"),
    "redshift": ("zph", "zp"),
}

_CATALOGUES = (
    _entry(
        "redmapper",
        "redMaPPer clusters in SDSS DR8 (Rykoff+ 2014)",
        "2014ApJ...785..104R",
        "J/ApJ/785/104/table1",
        _README,
        "photometric, z_lambda of the red sequence",
        columns=_REDMAPPER_COLUMNS,
        richness=_LAMBDA,
        rows=25325,
        signatures=(("Z_LAMBDA", "LAMBDA"), ("Z_LAMBDA", "LAMBDA_CHISQ"), ("zlambda", "lambda")),
    ),
    _entry(
        "redmapper_v6",
        "redMaPPer v6.3 clusters in SDSS DR8 (Rykoff+ 2016)",
        "2016ApJS..224....1R",
        "J/ApJS/224/1/cat_dr8",
        _QUERIES,
        "photometric, z_lambda of the red sequence",
        columns=_REDMAPPER_COLUMNS,
        richness=_LAMBDA,
        rows=26311,
    ),
    _entry(
        "redmapper_des",
        "redMaPPer clusters in DES science verification data (Rykoff+ 2016)",
        "2016ApJS..224....1R",
        "J/ApJS/224/1/cat_sva1",
        _QUERIES,
        "photometric, z_lambda of the red sequence",
        columns=_REDMAPPER_COLUMNS,
        richness=_LAMBDA,
        rows=786,
    ),
    _entry(
        "wen2012",
        "132,684 clusters in SDSS-III (Wen, Han & Liu 2012)",
        "2012ApJS..199...34W",
        "J/ApJS/199/34/table1",
        _QUERIES,
        "photometric; the spectroscopic one of the brightest galaxy, zsp, stays beside",
        columns=_WEN_COLUMNS | {"richness": ("RL*",)},
        richness="R_L*: luminosity within r200 over L*; the number of galaxies, N200, stays beside",
        rows=132684,
        id_prefix="WHL ",
        signatures=(("WHL", "zph", "N200"),),
    ),
    _entry(
        "wen2015",
        "158,103 clusters in SDSS-III, updated to DR12 (Wen & Han 2015)",
        "2015ApJ...807..178W",
        ("J/ApJ/807/178/table3", "J/ApJ/807/178/table4"),
        _QUERIES,
        "photometric; the spectroscopic one, zsp, stays beside",
        columns=_WEN_COLUMNS | {"richness": ("RL*500",)},
        richness="R_L*,500: luminosity within r500 over L*, corrected for evolution",
        rows=132684 + 25419,
        id_prefix="WHL ",
        signatures=(("WHL", "zph", "N200", "N500"), ("WHL", "zph", "N500")),
    ),
    _entry(
        "abell",
        "Rich clusters of galaxies, with the southern supplement (Abell, Corwin & Olowin 1989)",
        "1989ApJS...70....1A",
        "VII/110A",
        _QUERIES,
        "spectroscopic, of about one cluster in six",
        columns={
            "id": ("ACO",),
            "redshift": ("z",),
            "richness": ("Count",),
        },
        richness="galaxies up to 2 mag fainter than the third brightest, less the background",
        rows=5250,
        id_prefix="ACO ",
        id_prefix_repeated="ACO S",
        signatures=(("ACO", "BMtype", "Rich", "Dclass"),),
    ),
    _entry(
        "mspm",
        "Groups and clusters in SDSS DR7 by multiscale probability mapping (Smith+ 2012)",
        "2012MNRAS.422...25S",
        "J/MNRAS/422/25/table1",
        _GUESSED,
        "spectroscopic",
        columns={"id": ("MSPM",)},
        richness="as the catalogue has it",
        id_prefix="MSPM ",
    ),
    _entry(
        "planck",
        "Second Planck catalogue of Sunyaev-Zel'dovich sources, PSZ2 (Planck Collaboration 2016)",
        "2016A&A...594A..27P",
        "J/A+A/594/A27/psz2",
        _QUERIES,
        "of the counterpart where one is known",
        columns={
            "id": ("PSZ2", "Name"),
            "redshift": ("z", "REDSHIFT"),
            "mass": ("MSZ",),
        },
        rows=1653,
        id_prefix="PSZ2 ",
        signatures=(("MSZ", "Y5R500"),),
    ),
    _entry(
        "act",
        "Sunyaev-Zel'dovich clusters of ACT DR5 (Hilton+ 2021)",
        "2021ApJS..253....3H",
        "J/ApJS/253/3/clusters",
        _QUERIES,
        "spectroscopic or photometric",
        columns={
            "id": ("ACT-CL", "name"),
            "redshift": ("z", "redshift"),
            "redshift_error": ("e_z", "redshiftErr"),
            "mass": ("M500cC", "M500cCal"),
        },
        rows=4195,
        id_prefix="ACT-CL ",
        signatures=(("RADeg", "decDeg", "redshift", "M500cCal"),),
    ),
    _entry(
        "act_dr3",
        "Sunyaev-Zel'dovich clusters of the ACTPol E-D56 field (Hilton+ 2018)",
        "2018ApJS..235...20H",
        "J/ApJS/235/20",
        _GUESSED,
        "spectroscopic or photometric",
        columns={
            "id": ("ACT-CL", "name"),
            "redshift": ("z",),
            "mass": ("M500cUPP",),
        },
        rows=182,
        id_prefix="ACT-CL ",
        signatures=(("RADeg", "decDeg", "y0tilde", "M500cUPP"),),
    ),
    _entry(
        "spt",
        "Sunyaev-Zel'dovich clusters of the 2500 square degrees of SPT-SZ (Bleem+ 2015)",
        "2015ApJS..216...27B",
        "J/ApJS/216/27/table4",
        _QUERIES,
        "spectroscopic or photometric; lower limits among them, see the flags beside",
        columns={"id": ("SPT-CL",), "redshift": ("z",), "mass": ("M500c",)},
        rows=677,
        id_prefix="SPT-CL ",
        signatures=(("SPT-CL", "xi", "z"),),
    ),
    _entry(
        "mcxc",
        "Meta-catalogue of X-ray detected clusters (Piffaretti+ 2011)",
        "2011A&A...534A.109P",
        "J/A+A/534/A109/mcxc",
        _QUERIES,
        "spectroscopic",
        columns={"id": ("MCXC",), "redshift": ("z",), "mass": ("M500",)},
        rows=1743,
        id_prefix="MCXC ",
        signatures=(("MCXC", "L500", "M500"),),
    ),
    _entry(
        "maxbcg",
        "13,823 maxBCG clusters in SDSS (Koester+ 2007)",
        "2007ApJ...660..239K",
        "J/ApJ/660/239",
        _GUESSED,
        "photometric",
        richness="red-sequence galaxies brighter than 0.4 L*",
        rows=13823,
    ),
)


def list_catalogues():
    """The catalogues that `~astro_objdet.catalogs.reference.fetch_catalogue` knows.

    Returns
    -------
    list of ReferenceCatalogue
    """
    return list(_CATALOGUES)


def find_catalogue(name):
    """A catalogue of the list by its name, in whatever case.

    Raises
    ------
    InputError
        If there is none of that name; the message lists those there are.
    """
    if isinstance(name, ReferenceCatalogue):
        return name
    by_name = {entry.name: entry for entry in _CATALOGUES}
    wanted = name.strip().lower() if isinstance(name, str) else name
    if wanted in by_name:
        return by_name[wanted]
    close = difflib.get_close_matches(str(wanted), by_name, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise InputError(f"catalogue must be one of {', '.join(by_name)}; got {name!r}{hint}")
