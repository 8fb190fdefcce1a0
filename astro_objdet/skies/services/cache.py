"""Replies kept on disk: whole ones only, under what they were asked with."""

import hashlib
import json
import warnings
from pathlib import Path

from astro_objdet.catalogs.references.network import astropy_cache
from astro_objdet.errors import InputError, OutputExistsError, ResourceError
from astro_objdet.files import write_whole

__all__ = ["ReplyCache"]


class ReplyCache:
    """A folder of replies, each with a note of what was asked and the reply's checksum.

    A reply lies under its own SHA-256, and the note beside it under that of the request, written
    after it: two programs that fetch the same at once leave one whole pair or the other.

    Parameters
    ----------
    folder : path-like, optional
        Made when something is kept. By default ``astro_objdet/images`` in astropy's cache folder.
    """

    def __init__(self, folder=None):
        if folder is None:
            folder = astropy_cache() / "astro_objdet" / "images"
        self.folder = Path(folder)
        self._warned = False

    @staticmethod
    def key(request):
        """SHA-256 of a request, a dict of plain values, whatever their order."""
        return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()

    def get(self, request):
        """The reply to a request; None if there is none, or it is not what was kept."""
        try:
            note = json.loads(self._note(request).read_bytes())
            content = self._content(note["sha256"]).read_bytes()
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return None
        intact = hashlib.sha256(content).hexdigest() == note["sha256"]
        return content if intact and note.get("request") == request else None

    def put(self, request, content):
        """Keep a reply that was found to be whole. A folder that cannot be written warns once."""
        sha256 = hashlib.sha256(content).hexdigest()
        note = json.dumps({"sha256": sha256, "request": request}, indent=1, sort_keys=True)
        try:
            for path, what in ((self._content(sha256), content), (self._note(request), note)):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, what, overwrite=True)
        except (OSError, InputError, OutputExistsError, ResourceError) as error:
            if not self._warned:
                self._warned = True
                warnings.warn(f"images are not kept: {error}", stacklevel=3)

    def _note(self, request):
        key = self.key(request)
        return self.folder / key[:2] / f"{key}.json"

    def _content(self, sha256):
        return self.folder / sha256[:2] / f"{sha256}.reply"
