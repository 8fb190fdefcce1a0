"""What an archive says of its making."""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["package_versions"]

_PACKAGES = ("astro-objdet", "astropy", "numpy", "reproject", "h5py", "galsim")


def package_versions():
    """Versions of the packages that pixels and tables depend on, by name."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
