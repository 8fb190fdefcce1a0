"""Published catalogues: fetched from VizieR and kept, or read from a file.

A catalogue is kept as the service sent it, packed, with a note at its end of when it
was fetched, how, and with which checksum. Such a file can be read by any program that
reads VOTables; a later version of this package reads its columns anew.
"""

import dataclasses
import datetime
import functools
import gzip
import hashlib
import json
import re
import time
import warnings
import zlib
from importlib.metadata import version
from pathlib import Path

from astropy.table import QTable

from astro_objdet.catalogs.references.entries import find_catalogue, list_catalogues
from astro_objdet.catalogs.references.network import astropy_cache, innermost_reason, may_pass
from astro_objdet.catalogs.references.table import ReplyError, read_reply, to_reference
from astro_objdet.catalogs.tables.files import read_table
from astro_objdet.errors import (
    InputError,
    NetworkError,
    OutputExistsError,
    ResourceError,
    check_positive,
)
from astro_objdet.files import sha256_of, write_whole

__all__ = ["fetch_catalogue", "list_catalogues", "load_catalogue"]

# Seconds before each time a service is asked.
_PAUSES = {"VizieR": (0, 1, 3), "TAP": (0,)}
_NOTE = b"\n<!-- astro_objdet "
_NOTE_END = b" -->\n"


@dataclasses.dataclass(frozen=True)
class _Reply:
    """What a service sent, and how it was asked."""

    content: bytes
    service: str
    query: str
    date: str
    sha256: str


def fetch_catalogue(name, *, cache=True, refresh=False, timeout=60, cache_dir=None):
    """Fetch a published catalogue, or take the copy kept of it.

    Parameters
    ----------
    name : str or `~astro_objdet.catalogs.references.entries.ReferenceCatalogue`
        A name of `list_catalogues`, or an entry of one's own.
    cache : bool, optional
        Whether to take and to keep a copy.
    refresh : bool, optional
        Fetch it even if there is a copy, which stays if that fails.
    timeout : float, optional
        Seconds without an answer after which a service is given up.
    cache_dir : path-like, optional
        Folder of the copies; by default ``astro_objdet`` in astropy's cache folder.

    Returns
    -------
    `~astropy.table.QTable`
        First the columns id, ra and dec (deg, ICRS), redshift, and where the
        catalogue has them redshift_error, richness, magnitude, mass (solar masses);
        then its others by their own names. ``.meta["origin"]`` has the catalogue,
        reference, service, tables, date, query, SHA-256 of the reply, the names of
        their columns by ours, what redshift and richness are, and our version.

    Raises
    ------
    InputError
        If the name is not known, or astroquery is not installed.
    NetworkError
        If no service sent the whole catalogue; names what each of them did.
    """
    entry = find_catalogue(name)
    check_positive("timeout", timeout)
    path = _copy_path(entry, cache_dir) if cache else None
    if path is not None and not refresh:
        reply = _kept(path, entry)
        if reply is not None:
            try:
                return _finished(read_reply(reply.content, entry), entry, reply)
            except ReplyError:
                # As good as none: fetched anew below.
                pass
    reply, table = _fetched(entry, timeout)
    if path is not None:
        _keep(path, entry, reply)
    return _finished(table, entry, reply)


def load_catalogue(path, like=None, *, columns=None):
    """Read a catalogue from a file, with our columns first.

    Parameters
    ----------
    path : path-like
        A table of any format that `~astro_objdet.catalogs.tables.files.read_table` reads.
    like : str, optional
        Name of the catalogue of `list_catalogues` it is; by default it is recognised
        by its columns, and may be none of them.
    columns : dict, optional
        Names of its columns by ours, ``{"redshift": "zsp"}``, where they are not to be
        recognised.

    Returns
    -------
    `~astropy.table.QTable`
        As of `fetch_catalogue`, with the file's name and SHA-256 in
        ``.meta["origin"]``; of a catalogue not on the list the redshift is masked if
        it has none.

    Raises
    ------
    InputError
        If the file cannot be read, or its columns cannot be told.
    """
    table = read_table(path)
    if like is not None:
        entry = find_catalogue(like)
    elif "origin" in table.meta and {"id", "ra", "dec", "redshift"} <= set(table.colnames):
        # Ours already, written to a file.
        return QTable(table)
    else:
        entry = _recognised(table)
    try:
        result = to_reference(table, entry, "table", columns)
    except InputError as error:
        raise InputError(str(error), path) from None
    origin = _origin(entry, result)
    origin |= {"file": Path(path).name, "sha256": sha256_of(path)}
    result.meta = {"origin": origin}
    return result


def _recognised(table):
    """The entry whose columns the table has, None if there is none."""
    names = {name.lower() for name in table.colnames}
    found = [
        (len(signature), entry)
        for entry in list_catalogues()
        for signature in entry.signatures
        if {name.lower() for name in signature} <= names
    ]
    return max(found, key=lambda pair: pair[0], default=(0, None))[1]


def _finished(table, entry, reply):
    origin = _origin(entry, table)
    origin["tables"] = list(entry.tables)
    for field in ("service", "query", "date", "sha256"):
        origin[field] = getattr(reply, field)
    table.meta = {"origin": origin}
    return table


def _origin(entry, table):
    origin = {"catalogue": "", "columns": dict(table.meta["columns"]), "rows": len(table)}
    if entry is not None:
        origin |= {
            "catalogue": entry.name,
            "title": entry.title,
            "reference": entry.reference,
            "redshift": entry.redshift,
            "richness": entry.richness,
            "acknowledgement": entry.acknowledgement,
        }
    origin["astro_objdet"] = version("astro-objdet")
    return origin


def _fetched(entry, timeout):
    """Ask one service after the other until one sends the whole catalogue."""
    problems = []
    services = [("VizieR", _PAUSES["VizieR"], _ask_vizier)]
    if entry.tap_query is not None:
        services.append((f"TAP ({entry.tap_url})", _PAUSES["TAP"], _ask_tap))
    for service, pauses, ask in services:
        for pause in pauses:
            time.sleep(pause)
            try:
                reply = ask(entry, timeout, service)
                return reply, read_reply(reply.content, entry)
            except ReplyError as error:
                problem = error
                if not error.again:
                    break
        problems.append(f"{service}: {problem}")
    raise NetworkError(
        f"catalogue {entry.name!r} could not be fetched. {'. '.join(problems)}. A local file "
        f"serves instead: load_catalogue('FILE', like={entry.name!r}), or the file's path in "
        "place of the name (--with FILE)"
    )


def _ask_vizier(entry, timeout, service):
    try:
        from astroquery import cache_conf
        from astroquery.vizier import VizierClass, conf
    except ImportError as error:
        raise InputError(
            "catalogues are fetched through astroquery, which is not installed: "
            "pip install astroquery"
        ) from error
    client = VizierClass(
        columns=["**", "_RA.icrs", "_DE.icrs"],
        row_limit=-1,
        timeout=timeout,
        vizier_server=conf.server,
    )
    tables = list(entry.tables)
    query = client.get_catalogs_async(tables, get_query_payload=True)
    # astroquery keeps whatever came, errors too, for a week.
    with cache_conf.set_temp("cache_active", False):
        send = functools.partial(client.get_catalogs_async, tables)
        return _reply(send, service, query, timeout)


def _ask_tap(entry, timeout, service):
    import requests
    from pyvo.dal import TAPQuery

    session = requests.Session()
    # pyvo has no timeout of its own.
    session.request = functools.partial(session.request, timeout=timeout)
    query = TAPQuery(entry.tap_url, entry.tap_query, maxrec=10_000_000, session=session)
    return _reply(query.submit, service, entry.tap_query, timeout)


def _reply(send, service, query, timeout):
    """Send a request; failures of the network become a `ReplyError`."""
    import requests

    try:
        response = send()
        content = response.content
    except requests.Timeout:
        raise ReplyError(f"no answer within {timeout:g} s", again=True) from None
    except requests.RequestException as error:
        raise ReplyError(f"connection failed: {innermost_reason(error)}", again=True) from None
    if not response.ok:
        again = may_pass(response.status_code)
        raise ReplyError(f"HTTP {response.status_code} {response.reason}", again=again)
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return _Reply(content, service, query, date, hashlib.sha256(content).hexdigest())


def _copy_path(entry, cache_dir):
    if not re.fullmatch(r"[\w.+-]+", entry.name):
        raise InputError(f"name of a catalogue must be letters and digits, got {entry.name!r}")
    if cache_dir is None:
        cache_dir = astropy_cache() / "astro_objdet"
    return Path(cache_dir) / f"{entry.name}.vot.gz"


def _keep(path, entry, reply):
    note = {field: getattr(reply, field) for field in ("service", "query", "date", "sha256")}
    note["tables"] = list(entry.tables)
    # Two hyphens would end the comment.
    text = json.dumps(note).replace("--", "-\\u002d").encode()
    packed = gzip.compress(reply.content + _NOTE + text + _NOTE_END, compresslevel=3, mtime=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, packed, overwrite=True)
    except (OSError, InputError, OutputExistsError, ResourceError) as error:
        warnings.warn(f"catalogue {entry.name!r} was not kept: {error}", stacklevel=3)


def _kept(path, entry):
    """The reply of a kept copy; None without one, or if it is damaged or of other tables."""
    try:
        content, _, note = gzip.decompress(path.read_bytes()).rpartition(_NOTE)
        note = json.loads(note.removesuffix(_NOTE_END))
        tables = note.pop("tables")
        reply = _Reply(content=content, **note)
    except (OSError, EOFError, zlib.error, ValueError, TypeError, LookupError, AttributeError):
        return None
    intact = hashlib.sha256(content).hexdigest() == reply.sha256
    return reply if intact and tables == list(entry.tables) else None
