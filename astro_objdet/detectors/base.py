"""The detector: a recipe with trained weights, from an image to `Detections`."""

import numbers
from functools import cache
from importlib.metadata import entry_points, version

import numpy as np
from astropy.table import Column

from astro_objdet.catalogs import Detections
from astro_objdet.catalogs.calibration import Calibration
from astro_objdet.detectors.channels import choose_channels
from astro_objdet.detectors.recipe import Recipe
from astro_objdet.errors import InputError, ModelError, check_choice, check_fraction
from astro_objdet.images import TileGrid, read_bands, stretch_from_dict

__all__ = [
    "Detector",
    "get_detector_class",
    "get_recipe",
    "list_detectors",
    "register_detector",
]

_REGISTRY = {}
#: Outside packages name their `Detector` subclasses in this entry point group.
ENTRY_POINTS = "astro_objdet.detectors"


def register_detector(cls):
    """Class decorator that makes a `Detector` known under its ``name``.

    Raises
    ------
    InputError
        When the name is taken by another class.
    """
    taken = _REGISTRY.get(cls.name)
    if taken is not None and taken.__qualname__ != cls.__qualname__:
        raise InputError(f"detector {cls.name!r} is registered already, by {taken}")
    _REGISTRY[cls.name] = cls
    return cls


def _load_registry():
    """Our own detectors, registered as the package is imported, and outside ones."""
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name not in _REGISTRY:
            register_detector(entry.load())
    return _REGISTRY


def list_detectors():
    """Names of the detectors at hand, bundled and from entry points.

    Returns
    -------
    list of str
    """
    return sorted(_load_registry())


def get_detector_class(name):
    """The `Detector` subclass of that name.

    Raises
    ------
    ModelError
        Naming the detectors there are.
    """
    registry = _load_registry()
    if name not in registry:
        known = ", ".join(sorted(registry))
        raise ModelError(f"no detector is called {name!r}; there are: {known}")
    return registry[name]


def get_recipe(name):
    """A recipe by its name, such as ``"deepcee-paper"``.

    Raises
    ------
    InputError
        Naming the recipes there are.
    """
    recipes = {r.name: r for cls in _load_registry().values() for r in cls.recipes}
    check_choice("recipe", name, recipes)
    return recipes[name]


@cache
def _versions():
    """Versions of what a detection depends on; each costs a search of the disk."""
    names = ("astro-objdet", "astropy", "numpy", "torch", "torchvision")
    return {name: version(name) for name in names}


class Detector:
    """Finds objects in images: a recipe, and a model trained for it.

    A science case is a subclass with a ``name`` and ``recipes`` and, where the
    boxes of the model are not the last word, a `refine`. Most users make one
    with `from_pretrained`.

    Parameters
    ----------
    recipe : `Recipe`
    model : `torch.nn.Module`
        In evaluation mode, on its device; takes and returns what torchvision's
        detection models do.
    card : dict, optional
        The model card. With a ``calibration`` in it, detections have the column
        ``probability``.
    weights_name, sha256 : str, optional
        Where the weights came from, recorded in each catalogue.

    Raises
    ------
    ModelError
        For a card whose calibration is damaged, or was made with another recipe.
    """

    name = None
    recipes = ()

    def __init__(self, recipe, model, *, card=None, weights_name=None, sha256=None):
        self.recipe = recipe
        self.model = model
        self.card = card or {}
        self.weights_name = weights_name
        self.sha256 = sha256
        self.calibration = _calibration_of(self.card, recipe)

    def __repr__(self):
        return (
            f"<{type(self).__name__} {self.recipe.name} on {self.device}, "
            f"weights {self.weights_name}>"
        )

    @property
    def device(self):
        """The device the model runs on."""
        return next(self.model.parameters()).device

    @staticmethod
    def from_pretrained(name="deepcee", *, device="auto", sha256=None):
        """A detector with trained weights.

        Parameters
        ----------
        name : str or path-like
            Bundled weights by name, the path of a ``.safetensors`` file, or
            ``hf://owner/name`` on the Hugging Face hub.
        device : str
            ``"auto"`` takes a GPU where there is one.
        sha256 : str, optional
            What the weights file must hash to.

        Returns
        -------
        `Detector`
            Of the subclass that the weights' card names.

        Raises
        ------
        ModelError
            When the weights are missing, damaged, or not safetensors with a card.
        NetworkError
            When the hub cannot be reached.
        InputError
            For a device this machine does not have.
        """
        from astro_objdet.engine.loading import load_model

        card, recipe, model, digest = load_model(name, Recipe.from_dict, device, sha256)
        cls = get_detector_class(card["detector"])
        return cls(recipe, model, card=card, weights_name=str(name), sha256=digest)

    def detect(
        self,
        image,
        *,
        threshold=None,
        bands=None,
        hdu=None,
        mask=None,
        unit=None,
        zero_point=None,
        stretch=None,
        pixel_only=False,
        batch_size=None,
        workers=1,
        progress=None,
    ):
        """Find the objects in an image.

        Parameters
        ----------
        image : `~astropy.nddata.CCDData` and others
            Whatever `astro_objdet.images.read_bands` accepts: one band or a stack,
            a mapping of bands, an ``(array, WCS)`` pair, paths, a `BandStack`.
        threshold : float, optional
            Lowest score to return; the recipe's own where not given.
        bands, hdu, mask, unit, zero_point, pixel_only
            As for `astro_objdet.images.read_bands`.
        stretch : {"identity", "sqrt", "lupton", "hsc"}, optional
            Another stretch than the recipe's; ``"identity"`` says that the image
            is a picture already, 0-255 or 0-1.
        batch_size : int, optional
            Tiles per forward pass; 1 on a CPU and 8 on a GPU where not given.
        workers : int
            Threads that read the image ahead of the model.
        progress : callable, optional
            Called as ``progress(done, total)`` with numbers of tiles.

        Returns
        -------
        `~astro_objdet.catalogs.Detections`
            Best score first, one row per object; ``meta`` holds the provenance. What the
            detector estimates has columns such as ``redshift_est`` and ``richness_est``. Where
            the weights are calibrated, the last column is ``probability``, that of
            being true; ``meta["calibration"]`` says on what sky that holds, and under
            ``departures`` in what this image or its treatment differs.

        Raises
        ------
        InputError
            For an image or a parameter that cannot be used.
        ResourceError
            When memory runs out.
        """
        from astro_objdet.engine.inference import predict_tiles

        if threshold is None:
            threshold = self.recipe.score_threshold
        check_fraction("threshold", threshold)
        if batch_size is None:
            batch_size = 1 if self.device.type == "cpu" else 8
        for name, value, least in (("batch_size", batch_size, 1), ("workers", workers, 0)):
            if not isinstance(value, numbers.Integral) or value < least:
                raise InputError(f"{name} must be an integer from {least}, got {value!r}")
        stack = read_bands(
            image,
            bands=bands,
            hdu=hdu,
            mask=mask,
            unit=unit,
            zero_point=zero_point,
            pixel_only=pixel_only,
            stretched=True if stretch == "identity" else None,
        )
        stack = stack.select(choose_channels(stack, self.recipe.bands))
        grid = self._grid(stack, stretch)
        boxes, scores, labels, estimates = predict_tiles(
            self.model,
            grid,
            threshold=threshold,
            nms=self.recipe.box_nms,
            batch_size=batch_size,
            workers=workers,
            progress=progress,
        )
        origin = self._provenance(stack, grid, threshold)
        found = Detections.from_boxes(
            grid.to_image_pixels(boxes),
            scores,
            [self.recipe.labels[k - 1] for k in labels],
            wcs=stack.wcs,
            meta=origin,
        )
        self._add_estimates(found, estimates)
        found = self.refine(found, stack)
        if self.calibration is not None:
            self._add_probability(found, origin, stack)
        return found

    def refine(self, detections, stack):
        """What a science case does with the boxes; here, nothing.

        Parameters
        ----------
        detections : `~astro_objdet.catalogs.Detections`
        stack : `~astro_objdet.images.BandStack`

        Returns
        -------
        `~astro_objdet.catalogs.Detections`
        """
        return detections

    def _grid(self, stack, stretch):
        """The stack's tiles at the recipe's pixel scale and stretch."""
        chosen = self.recipe.stretch
        if stretch is not None and stretch != chosen["name"]:
            check_choice("stretch", stretch, ("identity", "sqrt", "lupton", "hsc"))
            chosen = {"name": stretch}
        noise = self.recipe.reference_noise
        if noise is not None and len(stack.bands) == 1:
            noise = noise[1]  # a lone band takes the middle channel's
        return TileGrid(
            stack,
            self.recipe.pixel_scale,
            self.recipe.tile,
            self.recipe.overlap,
            stretch_from_dict(chosen),
            reference_noise=noise,
        )

    def _add_estimates(self, found, estimates):
        """Add a column for each property that the detector estimates."""
        values = np.exp(np.reshape(estimates, (len(found), len(self.recipe.estimates))))
        for name, column in zip(self.recipe.estimates, values.T, strict=True):
            said = f"{name}, as estimated by the detector"
            found[f"{name}_est"] = Column(column, description=said)

    def _add_probability(self, found, origin, stack):
        """Add the column ``probability``, and to ``meta`` what it rests on."""
        found["probability"] = Column(
            self.calibration.probability(found["score"]),
            description="probability of being true, by the calibration of the weights",
        )
        departures = []
        lowest = min(self.calibration.lowest_score, self.calibration.provenance.get("threshold", 1))
        if origin["threshold"] < lowest:
            departures.append(f"scores below {lowest:.3g} have the probability at {lowest:.3g}")
        for name, ours, theirs in (
            ("bands", ", ".join(origin["bands"]), ", ".join(self.recipe.bands)),
            ("stretch", origin["stretch"]["name"], self.recipe.stretch["name"]),
        ):
            if ours != theirs:
                departures.append(f"{name} {ours}, calibrated for {theirs}")
        if stack.unit is None and not stack.stretched:
            departures.append("pixels without a flux scale")
        found.meta["calibration"] = {**self.calibration.summary(), "departures": departures}

    def _provenance(self, stack, grid, threshold):
        """Where a catalogue comes from, for its ``meta``."""
        meta = {
            "detector": self.name,
            "recipe": self.recipe.name,
            "weights": {"name": self.weights_name, "sha256": self.sha256},
            "threshold": float(threshold),
            "bands": list(stack.bands),
            "stretch": {"name": "identity"} if stack.stretched else grid.stretch.to_dict(),
            "inputs": [dict(source) for source in stack.sources],
            "versions": dict(_versions()),
        }
        if stack.wcs is not None:
            corners = stack.footprint()
            meta["pixel_scale_arcsec"] = float(stack.pixel_scale.to_value("arcsec"))
            meta["footprint_deg"] = [
                [float(ra), float(dec)]
                for ra, dec in zip(corners.ra.deg, corners.dec.deg, strict=True)
            ]
        return meta


def _calibration_of(card, recipe):
    """The calibration in a model card, or None where it has none."""
    if card.get("calibration") is None:
        return None
    try:
        calibration = Calibration.from_dict(card["calibration"])
    except InputError as error:
        raise ModelError(f"the model card's calibration cannot be used: {error}") from None
    made_with = calibration.provenance.get("recipe")
    if made_with not in (None, recipe.name):
        raise ModelError(
            f"the model card's calibration was made with the recipe {made_with!r}, "
            f"the detector has {recipe.name!r}"
        )
    return calibration
