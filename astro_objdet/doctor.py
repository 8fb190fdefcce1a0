"""Is everything there that detecting needs, and how to get what is not."""

import dataclasses
import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from astro_objdet.errors import AstroObjdetError

__all__ = ["Check", "doctor"]

DISTRIBUTION = "astro-objdet"
EXTRAS = ("simulate",)
# A tile of 1024 pixels in the bundled model, with torch itself, takes about this.
ENOUGH_MEMORY = 2e9
# The largest bundled file times a few: catalogues, pictures, weights of a hub.
ENOUGH_DISK = 1e9


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    name : str
    status : str
        ``"ok"``; ``"note"`` for what detecting does without; ``"fail"``.
    detail : str
        What there is.
    remedy : str
        What to do about it; empty if there is nothing to do.
    """

    name: str
    status: str
    detail: str
    remedy: str = ""


def doctor():
    """Look at everything the package needs.

    Returns
    -------
    list of Check
        Nothing is raised for what is missing or damaged.
    """
    return [
        _python(),
        *_dependencies(),
        *(_extra(name) for name in EXTRAS),
        _device(),
        _memory(),
        *_disk(),
        *_weights(),
    ]


def _python():
    detail = f"{platform.python_version()} at {sys.executable}"
    return Check("Python", "ok", f"{detail}, {platform.platform()}")


def _requirements(extra):
    """Requirements of an extra, or the plain ones for an empty name."""
    for text in requires(DISTRIBUTION) or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if requirement.name == DISTRIBUTION:
            continue
        plain = marker is None or marker.evaluate({"extra": ""})
        if plain if not extra else not plain and marker.evaluate({"extra": extra}):
            yield requirement


def _installed(requirement):
    """Version that is installed and whether it will do."""
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return "missing", False
    if requirement.specifier.contains(found, prereleases=True):
        return found, True
    return f"{found}, but {requirement.specifier} is needed", False


def _dependencies():
    yield Check(DISTRIBUTION, "ok", version(DISTRIBUTION))
    for requirement in _requirements(""):
        found, good = _installed(requirement)
        remedy = "" if good else f"pip install '{requirement.name}{requirement.specifier}'"
        yield Check(requirement.name, "ok" if good else "fail", found, remedy)


def _extra(extra):
    missing = [
        requirement.name for requirement in _requirements(extra) if not _installed(requirement)[1]
    ]
    name = f"extra {extra}"
    if not missing:
        return Check(name, "ok", "installed")
    return Check(
        name,
        "note",
        f"without {', '.join(missing)}",
        f"if you want it: pip install '{DISTRIBUTION}[{extra}]'",
    )


def _device():
    # A torch and a torchvision that do not fit fail with a RuntimeError at import,
    # a missing system library with an OSError.
    try:
        from astro_objdet.engine.devices import describe_device

        return Check("device", "ok", describe_device("auto"))
    except (ImportError, OSError, RuntimeError, AstroObjdetError) as error:
        return Check(
            "device",
            "fail",
            f"the model cannot run: {error}",
            "pip install --force-reinstall torch torchvision",
        )


def _memory():
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        total, free = page * os.sysconf("SC_PHYS_PAGES"), None
        free = page * os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return Check("memory", "note", "this system does not tell")
    detail = f"{total / 1e9:.1f} GB, {free / 1e9:.1f} GB of it unused"
    if total < ENOUGH_MEMORY:
        return Check("memory", "note", detail, "use --batch-size 1 and --workers 1")
    return Check("memory", "ok", detail)


def _disk():
    from huggingface_hub.constants import HF_HUB_CACHE

    for name, folder in (("disk here", Path.cwd()), ("weights cache", HF_HUB_CACHE)):
        # The cache folder is made when it is first used; its parent tells as much.
        existing = Path(folder)
        while not existing.exists():
            existing = existing.parent
        free = shutil.disk_usage(existing).free
        detail = f"{folder}, {free / 1e9:.1f} GB free"
        if not os.access(existing, os.W_OK):
            yield Check(name, "note", f"{folder}, not writable", "choose another folder")
        elif free < ENOUGH_DISK:
            yield Check(name, "note", detail, "make room, or choose another folder")
        else:
            yield Check(name, "ok", detail)


def _weights():
    remedy = f"pip install --force-reinstall --no-deps {DISTRIBUTION}"
    try:
        from astro_objdet.engine.weights import list_weights, load_state

        entries = list_weights()
        for entry in entries:
            load_state(entry["path"])
            detail = f"{entry['title']}; sha256 {entry['sha256'][:12]}, as the card has it"
            yield Check(f"weights {entry['name']}", "ok", detail)
        if not entries:
            yield Check("weights", "fail", "none came with the package", remedy)
    except (ImportError, OSError, RuntimeError, AstroObjdetError) as error:
        yield Check("weights", "fail", str(error), remedy)
