"""Pictures for talks and papers: detections on the sky, and how good they are.

Each figure comes from one function that takes what it shows, optionally axes to draw into
and a path to save to, and returns a `matplotlib.figure.Figure`. None uses pyplot.
"""

from importlib import import_module

_PUBLIC = {
    "centre_distances": "centres",
    "centre_residuals": "centres",
    "completeness_against": "dependence",
    "field_positions": "distributions",
    "loss_curves": "training",
    "model_comparison": "curves",
    "overlay": "skyview",
    "property_distributions": "distributions",
    "purity_against": "dependence",
    "purity_completeness": "curves",
    "reliability_diagram": "fits",
    "score_curves": "training",
    "selection_map": "fits",
    "threshold_curves": "curves",
}

__all__ = [*_PUBLIC]


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__():
    return sorted([*globals(), *_PUBLIC])
