"""Requests to a service: time-outs, bounded retries with back-off, and no more than it bears.

The clients of astroquery send their requests through `Line.request`, in place of their own
session: some of them have no time-out, and all keep whatever came, errors too.
"""

import email.utils
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from astro_objdet.catalogs.references.network import innermost_reason, may_pass
from astro_objdet.errors import check_count, check_positive
from astro_objdet.skies.services.replies import ImageReplyError, said
from astro_objdet.skies.stable import stable_uniform

__all__ = ["Line", "Reply"]

_CHUNK = 1 << 16
# A reply may take so many time-outs in all; one byte now and then would last for ever.
_SLOWEST = 10
_LARGEST = 2**30
# Seconds before the first retry; doubled for each further one, and made uneven by half.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
# Longer than that no service is waited for.
_LONGEST_WAIT = 300.0


@dataclass(frozen=True)
class Reply:
    """What a service sent: the part of `requests.Response` that astroquery's clients read."""

    content: bytes
    url: str
    status_code: int = 200

    @property
    def text(self):
        """The content as text."""
        return self.content.decode("utf-8", errors="replace")

    def raise_for_status(self):
        """Do nothing: replies with an error never come that far."""


class Line:
    """Connections to one service, for several threads.

    Parameters
    ----------
    timeout : float
        Seconds without a byte after which a request is given up; ten times as many for all of it.
    retries : int
        How often to ask again after a failure that may pass.
    sleep : callable, optional
        Waits for a number of seconds.
    """

    def __init__(self, timeout=60.0, retries=3, *, sleep=None):
        check_positive("timeout", timeout)
        check_count("retries", retries, 0)
        self._timeout, self._retries = timeout, retries
        self._stopped = threading.Event()
        self._sleep = sleep or self._stopped.wait
        self._local = threading.local()
        self._lock = threading.Lock()
        self._free_at = 0.0

    def stop(self):
        """Let no thread wait or ask any more."""
        self._stopped.set()

    def persist(self, ask, key):
        """Call ``ask`` until it does not fail, with pauses between.

        Parameters
        ----------
        ask : callable
            Raises `ImageReplyError`.
        key : str
            What the unevenness of the pauses follows from.

        Returns
        -------
        object
            What ``ask`` returned.

        Raises
        ------
        ImageReplyError
            The last one, with the number of attempts.
        """
        uneven = stable_uniform(0, [f"{key} {attempt}" for attempt in range(self._retries)])
        for attempt in range(self._retries + 1):
            self._wait_for_service()
            try:
                return ask()
            except ImageReplyError as error:
                error.attempts = attempt + 1
                last = attempt == self._retries or not error.again or self._stopped.is_set()
                if last or (error.wait or 0) > _LONGEST_WAIT:
                    raise
                pause = min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE) * (0.5 + uneven[attempt])
                if error.wait:
                    # It was said to one thread and is meant for all.
                    with self._lock:
                        self._free_at = max(self._free_at, time.monotonic() + error.wait)
                    pause = max(pause, error.wait)
                self._sleep(pause)
        raise ImageReplyError("was not asked")

    def request(self, method, url, params=None, data=None, headers=None, files=None, **options):
        """Send a request and read the whole reply, in place of astroquery's ``_request``.

        Parameters
        ----------
        method, url, params, data, headers, files
            As of `requests.Session.request`.
        **options
            Others of astroquery, its cache and time-outs, which are ours here.

        Returns
        -------
        Reply

        Raises
        ------
        ImageReplyError
            If it does not come, or with an error.
        """
        import requests
        import urllib3

        if self._stopped.is_set():
            raise ImageReplyError("stopped", url=url)
        prepared = requests.Request("GET", url, params=params).prepare().url
        try:
            with self._session().request(
                method, url, params=params, data=data, headers=headers, files=files,
                timeout=self._timeout, stream=True,
            ) as response:  # fmt: skip
                content = self._content(response, prepared)
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            reason = f"no answer within {self._timeout:g} s"
            raise ImageReplyError(reason, again=True, url=prepared) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            reason = f"connection failed: {innermost_reason(error)}"
            raise ImageReplyError(reason, again=True, url=prepared) from None
        if not response.ok:
            raise _refusal(response, content, prepared)
        return Reply(content, response.url, response.status_code)

    def _session(self):
        import requests
        from astroquery import version

        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            agent = self._local.session.headers["User-Agent"]
            self._local.session.headers["User-Agent"] = f"astroquery/{version.version} {agent}"
        return self._local.session

    def _content(self, response, url):
        """All bytes of a body, if they come in time and are not too many."""
        until = time.monotonic() + _SLOWEST * self._timeout
        parts, length = [], 0
        # What is there so far, however little: `iter_content` waits for a full part.
        while part := response.raw.read1(_CHUNK, decode_content=True):
            parts.append(part)
            length += len(part)
            if length > _LARGEST:
                raise ImageReplyError(f"more than {_LARGEST >> 20} MiB came", url=url)
            if time.monotonic() > until:
                reason = f"only {length} bytes came within {_SLOWEST * self._timeout:g} s"
                raise ImageReplyError(reason, again=True, url=url)
            if self._stopped.is_set():
                raise ImageReplyError("stopped", url=url)
        return b"".join(parts)

    def _wait_for_service(self):
        """Wait until the time that a service named to whichever thread."""
        with self._lock:
            left = self._free_at - time.monotonic()
        if left > 0 and not self._stopped.is_set():
            self._sleep(left)


def _refusal(response, content, url):
    """The error for a reply with the status of one."""
    status = response.status_code
    again = may_pass(status)
    text = said(content)
    reason = f"HTTP {status} {response.reason}" + (f": {text}" if text else "")
    wait = _seconds(response.headers.get("Retry-After")) if again else None
    if wait is not None and wait > _LONGEST_WAIT:
        reason += f"; it asks to come back in {wait:.0f} s"
    return ImageReplyError(reason, again=again, wait=wait, url=url)


def _seconds(text):
    """Seconds of a Retry-After: a number of them, or a date; None if it is neither."""
    if text is None:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)
