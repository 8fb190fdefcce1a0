"""A local server that answers as SkyView, the SDSS servers and hips2fits do, faults included.

All of them show the same sky: a few stars of known flux, so that what a client makes of a reply
can be measured.
"""

import bz2
import contextlib
import functools
import http.server
import io
import json
import threading
import urllib.parse

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from astro_objdet.catalogs.sphere import unit_vectors

RA, DEC = 150.1234567, 2.2345678
#: Stars: arcsec east and north of RA, DEC, and flux in nanomaggies in all bands, g times 1.
STARS = [(0.0, 0.0, 400.0), (4.2, 2.1, 250.0), (-5.1, 3.3, 120.0), (2.7, -5.4, 300.0)]
SIGMA = 1.2
BANDS = {"g": 1.0, "r": 2.0, "i": 3.0}
NATIVE = {"frame": 0.396, "fits": 0.396, "SDSS9": 0.396, "DES-DR2": 0.263, "PanSTARRS": 0.25}
FORM = """<html><body><form name="query" action="runquery.pl" method="GET">
<input name="Position" size=30 id="object">
<select multiple size=7 NAME='survey' id='Optical:SDSS'>
<option>SDSSg</option><option>SDSSi</option><option>SDSSr</option></select>
<select name='coordinates'><option selected>J2000</option><option>ICRS</option></select>
<select name='projection'><option selected value='Tan'>Gnomonic</option></select>
<input type='text' name='pixels' Value='300'><input type='text' name='size'>
<input TYPE='submit' Value='Submit Request'></form></body></html>"""
#: For a survey of each service, the request that carries the image.
IMAGE = {"skyview": "fits", "sdss": "frame", "sdss9": "hips"}
FAULT_PAGE = b"<html><head><title>Down</title></head><body>We are being repaired</body></html>"


def kept(tmp_path):
    """Files in the cache of the fixture ``get``."""
    return [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


@functools.cache
def star_positions():
    east, north, _ = np.transpose(STARS)
    return SkyCoord(RA, DEC, unit="deg").directional_offset_by(
        np.arctan2(east, north) * u.rad, np.hypot(east, north) * u.arcsec
    )


def sky(wcs, shape, native, factor=1.0):
    """Nanomaggies per pixel of ``native`` arcsec, whatever the pixels of the WCS are."""
    return _sky(wcs.to_header_string(), shape, native) * np.float32(factor)


@functools.cache
def _sky(header, shape, native):
    y, x = np.mgrid[: shape[0], : shape[1]]
    wcs = WCS(fits.Header.fromstring(header))
    here = unit_vectors(*wcs.pixel_to_world_values(x, y))
    data = np.full(shape, 1e-4)
    for place, (_, _, flux) in zip(star_positions(), STARS, strict=True):
        away = np.linalg.norm(here - unit_vectors(place.ra.deg, place.dec.deg), axis=-1)
        apart = np.degrees(away) * 3600
        data += flux * native**2 / (2 * np.pi * SIGMA**2) * np.exp(-0.5 * (apart / SIGMA) ** 2)
    return data.astype(np.float32)


def fits_bytes(data, header):
    stream = io.BytesIO()
    fits.PrimaryHDU(data, header).writeto(stream)
    return stream.getvalue()


def frame_wcs(number):
    """Frames of 64 x 48 pixels side by side along a stripe that runs aslant."""
    turn = np.radians(70)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crpix = [32.5, 24.5]
    along = (number - 1) * 40 * 0.396 / 3600
    place = SkyCoord(RA, DEC, unit="deg").directional_offset_by(turn * u.rad, along * u.deg)
    wcs.wcs.crval = [place.ra.deg, place.dec.deg]
    cos, sin = np.cos(turn), np.sin(turn)
    wcs.wcs.cd = 0.396 / 3600 * np.array([[-cos, sin], [sin, cos]])
    return wcs


class ImageServer(http.server.ThreadingHTTPServer):
    """Remembers what it was asked, and gives the faults it was told to, one after the other."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.faults = {}
        self.requests = []
        self.images = {}
        self.released = threading.Event()
        self.lock = threading.Lock()
        self.at_once = self.most_at_once = 0

    def fails(self, kind, *faults):
        """Give these in turn to requests of a kind, and then right answers; the last for ever
        if it is ``...``."""
        self.faults[kind] = list(faults)

    def asked(self, kind):
        return [query for what, query in self.requests if what == kind]

    def next_fault(self, kind):
        faults = self.faults.get(kind, [])
        if len(faults) == 2 and faults[1] is ...:
            return faults[0]
        return faults.pop(0) if faults else "ok"


@contextlib.contextmanager
def serving(monkeypatch):
    """The server, in place of the real services."""
    from astroquery import sdss
    from astroquery.hips2fits import hips2fitsClass
    from astroquery.skyview import SkyViewClass

    with ImageServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setattr(SkyViewClass, "URL", f"{server.url}/current/cgi/basicform.pl")
        monkeypatch.setattr(hips2fitsClass, "server", f"{server.url}/hips2fits")
        monkeypatch.setattr(sdss.conf, "skyserver_baseurl", server.url)
        monkeypatch.setattr(sdss.conf, "sas_baseurl", f"{server.url}/sas")
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        kind, answer = self._answer(parts.path, query)
        with self.server.lock:
            self.server.requests.append((kind, query or {"path": parts.path}))
            fault = self.server.next_fault(kind)
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        try:
            with contextlib.suppress(OSError):
                self._reply(fault, answer)
        finally:
            with self.server.lock:
                self.server.at_once -= 1

    def _answer(self, path, query):
        """What kind of request it is, and a function from a fault to the right content."""
        if path.endswith("basicform.pl"):
            return "form", lambda fault: FORM.encode()
        if path.endswith("runquery.pl"):
            return "query", lambda fault: self._results(query)
        if path.startswith("/tempspace/fits/"):
            return "fits", lambda fault: self._skyview(self.server.images[path], fault)
        if path.endswith("x_results.aspx"):
            return "sql", lambda fault: self._sql(fault)
        if path.startswith("/sas/"):
            return "frame", lambda fault: self._frame(path, fault)
        return "hips", lambda fault: self._hips(query, fault)

    def _results(self, query):
        with self.server.lock:
            path = f"/tempspace/fits/skv{len(self.server.images)}_1.fits"
            self.server.images[path] = query
        return (
            f"<html><body>SkyView <a href='../help/help.html'>Help</a> "
            f"<a href='../..{path}'>FITS</a> <a href='../../x.jpg'>JPEG</a></body></html>"
        ).encode()

    def _skyview(self, query, fault):
        ra, dec = map(float, query["Position"].split())
        n, size = int(query["pixels"]), float(query["size"].split(",")[0])
        wcs = tan(ra, dec, n, size * 3600 / n)
        return faulty_fits(wcs, (n, n), NATIVE["fits"], BANDS[query["survey"][-1]], fault)

    def _sql(self, fault):
        rows = "" if fault == "blank" else "".join(f"1000,301,2,{k}\n" for k in range(3))
        return f"#Table1\nrun,rerun,camcol,field\n{rows}".encode()

    def _frame(self, path, fault):
        # frame-g-001000-2-0001.fits.bz2
        band, _, _, field = path.rsplit("/", 1)[1].split(".")[0].split("-")[1:]
        wcs = frame_wcs(int(field))
        content = faulty_fits(wcs, (48, 64), NATIVE["frame"], BANDS[band], fault)
        return bz2.compress(content)

    def _hips(self, query, fault):
        header = fits.Header(json.loads(query["wcs"]))
        name, band = query["hips"].split("/")[2], query["hips"][-1]
        shape = header["NAXIS2"], header["NAXIS1"]
        return faulty_fits(WCS(header), shape, NATIVE[name], BANDS[band], fault)

    def _reply(self, fault, answer):
        if fault == "hang":
            self.server.released.wait(10)
            return
        status, headers, content = 200, {}, None
        if isinstance(fault, tuple):
            status, content, headers = (*fault, {})[:3]
        elif fault == "html":
            content = FAULT_PAGE
        elif fault == "empty":
            content = b""
        content = answer(fault) if content is None else content
        length = len(content)
        if fault in ("truncated", "stall"):
            content = content[: length // 2]
        if fault == "short":
            content = content[: length // 2]
            length = len(content)
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if fault == "dribble":
            for byte in content:
                self.wfile.write(bytes([byte]))
                if self.server.released.wait(0.02):
                    return
        self.wfile.write(content)
        if fault == "stall":
            self.wfile.flush()
            self.server.released.wait(10)

    def log_message(self, *args):
        pass


def tan(ra, dec, n, scale):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [ra, dec], [(n + 1) / 2] * 2
    wcs.wcs.cdelt = [-scale / 3600, scale / 3600]
    return wcs


def faulty_fits(wcs, shape, native, factor, fault):
    """The image, or one with a fault of its content."""
    if fault == "size":
        shape = shape[0] + 1, shape[1]
    if fault == "place":
        wcs = wcs.deepcopy()
        wcs.wcs.crval = wcs.wcs.crval + [0.01, 0]
    data = sky(wcs, shape, native, factor)
    if fault == "blank":
        data[:] = np.nan
    if fault == "zeros":
        data[:] = 0
    if fault == "half":
        data[: shape[0] * 7 // 10] = np.nan
    header = None if fault == "nowcs" else wcs.to_header()
    content = fits_bytes(data, header)
    return content.replace(b"NAXIS   =", b"NAXIX   =") if fault == "damaged" else content
