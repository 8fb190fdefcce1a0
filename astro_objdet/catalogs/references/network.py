"""What all requests have in common: the cache folder, which failures may pass, and their reason."""

from pathlib import Path

from astropy.config import get_cache_dir_path

__all__ = ["astropy_cache", "innermost_reason", "may_pass"]

# HTTP statuses besides the server's own errors: request timeout, too many requests.
_PASSING = {408, 429}


def astropy_cache():
    """Astropy's cache folder, a `~pathlib.Path`, whether it can be made or not."""
    try:
        return get_cache_dir_path()
    except OSError:
        # That nothing is kept is said when it comes to that.
        return Path.home() / ".astropy" / "cache"


def may_pass(status):
    """Whether asking again may help after a reply with an HTTP status."""
    return status >= 500 or status in _PASSING


def innermost_reason(error):
    """The innermost reason of an error of the connection, without the pools around it."""
    inner = error
    while isinstance(inner, Exception):
        error = inner
        inner = getattr(error, "reason", None) or (error.args[0] if error.args else None)
    return str(inner or type(error).__name__).rsplit(": ", 1)[-1][:160]
