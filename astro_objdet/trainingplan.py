"""What a training run is: its recipe, its data, its start. Written down, and read again."""

import dataclasses
import numbers
import os
import platform
import shlex
from importlib.metadata import version
from pathlib import Path

from astro_objdet.detectors import Recipe, get_detector_class, get_recipe
from astro_objdet.errors import InputError
from astro_objdet.files import sha256_of

__all__ = [
    "TrainingPlan",
    "begun_record",
    "check_identity",
    "make_card",
    "make_plan",
    "what_may_mislead",
]

_VERSIONS = ("astro-objdet", "torch", "torchvision", "timm", "numpy", "h5py")

# Options that are entries of the recipe's training settings.
_SETTINGS = {
    "steps": "steps",
    "batch_size": "batch_size",
    "learning_rate": "learning_rate",
    "freeze": "freeze_stages",
    "ema": "ema",
    "augmentation": "augmentation",
}
# Between the name of a recipe and that of another backbone.
_OTHER_BACKBONE = "+"
_COUNTS = {"seed": 0, "test_images": 0, "log_every": 1, "evaluate_every": 1, "checkpoint_every": 1}


@dataclasses.dataclass(frozen=True)
class TrainingPlan:
    """All that decides the weights a run ends with, but for the device.

    Attributes
    ----------
    recipe : `~astro_objdet.detectors.Recipe`
        With the training settings as they are used.
    data : str
        Path of the archive.
    init : str
        See `~astro_objdet.engine.training.initial.start_model`.
    seed : int
    train_split, test_split : str
        Without images in the second there are no evaluations.
    test_images : int
        At most so many images are evaluated, a fixed choice.
    log_every, evaluate_every, checkpoint_every : int
        Steps.
    """

    recipe: Recipe
    data: str
    init: str = "imagenet"
    seed: int = 0
    train_split: str = "train"
    test_split: str = "test"
    test_images: int = 200
    log_every: int = 50
    evaluate_every: int = 500
    checkpoint_every: int = 500

    def to_dict(self):
        """The plan as JSON takes it."""
        return {**dataclasses.asdict(self), "recipe": self.recipe.to_dict()}

    @classmethod
    def from_dict(cls, values):
        """The plan of `to_dict`.

        Raises
        ------
        InputError
            When it is of another version, or not a plan.
        """
        try:
            return cls(**{**values, "recipe": Recipe.from_dict(values["recipe"])})
        except (TypeError, KeyError) as error:
            raise InputError(f"not a run of this version: {error}") from None

    def check_same(self, options):
        """Refuse options that would make this another run; None says nothing.

        Raises
        ------
        InputError
            Naming the first that differs.
        """
        settings = self.recipe.training
        for name, value in options.items():
            if name in ("data", "recipe") or value is None:
                continue
            own = _entry_of(self, settings, name)
            value = _whole_path(value) if name == "init" else value
            if value != own and str(value) != str(own):
                raise InputError(
                    f"{name} is {own!r} in the run to go on with, got {value!r}: a run goes on as "
                    "it began. Start another one in a new folder, from these weights with "
                    "init set to this folder"
                )
        recipe = options.get("recipe")
        if recipe is not None and _find_recipe(self.recipe.detector, recipe).name != self._base:
            raise InputError(
                f"recipe is {self.recipe.name!r} in the run to go on with, got {str(recipe)!r}"
            )

    @property
    def _base(self):
        """Name of the recipe before its backbone was replaced."""
        return self.recipe.name.partition(_OTHER_BACKBONE)[0]

    def command(self):
        """The command line that makes these weights, with the archive's name without folders."""
        settings = self.recipe.training
        words = ["astro-objdet", "train", self.recipe.detector, "--data", Path(self.data).name]
        words += ["--recipe", self._base]
        if self._base != self.recipe.name:
            words += ["--backbone", self.recipe.backbone]
        for option, entry in _SETTINGS.items():
            words += [f"--{option.replace('_', '-')}", str(getattr(settings, entry))]
        init = Path(self.init).name if Path(self.init).exists() else self.init
        words += ["--init", init, "--seed", str(self.seed)]
        for name, usual in (("train_split", "train"), ("test_split", "test")):
            if getattr(self, name) != usual:
                words += [f"--{name.replace('_', '-')}", getattr(self, name)]
        words += ["-o", "run"]
        return shlex.join(words)


def make_plan(detector, data, recipe=None, **options):
    """The plan of a new run from what was asked for; None stands for the usual.

    Parameters
    ----------
    detector : str
    data : path-like
    recipe : str or `~astro_objdet.detectors.Recipe`, optional
        ``"bundled"`` (the usual), ``"paper"``, or a name.
    **options
        ``backbone``, another timm model than the recipe's; ``steps``, ``batch_size``,
        ``learning_rate``, ``freeze``, ``ema``, ``augmentation``; and attributes of `TrainingPlan`.

    Returns
    -------
    TrainingPlan

    Raises
    ------
    InputError
        Naming what cannot be.
    """
    if data is None:
        raise InputError("data must be given: the archive to train on")
    known = {"backbone", *_SETTINGS, *(field.name for field in dataclasses.fields(TrainingPlan))}
    _refuse_unknown(options, known)
    given = {name: value for name, value in options.items() if value is not None}
    recipe = _find_recipe(detector, recipe or "bundled")
    backbone = given.pop("backbone", recipe.backbone)
    if backbone != recipe.backbone:
        name = f"{recipe.name}{_OTHER_BACKBONE}{backbone}"
        recipe = recipe.replace(name=name, backbone=backbone)
    changes = {_SETTINGS[name]: given.pop(name) for name in _SETTINGS if name in given}
    training = dataclasses.replace(recipe.training, **changes)
    recipe = recipe.replace(training=training)
    for name, least in _COUNTS.items():
        value = given.get(name, least)
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
            raise InputError(f"{name} must be an integer from {least}, got {value!r}")
    usual = {"evaluate_every": max(1, training.steps // 20)}
    usual["checkpoint_every"] = max(1, min(500, training.steps // 20))
    usual["log_every"] = max(1, min(50, training.steps // 20))
    given["init"] = _whole_path(given.get("init", "imagenet"))
    return TrainingPlan(recipe=recipe, data=os.path.abspath(data), **(usual | given))


def _whole_path(init):
    """As given, or the absolute path of what is there: a run may go on from another folder."""
    return os.path.abspath(init) if os.path.exists(init) else str(init)


def _refuse_unknown(options, known):
    for name in options:
        if name not in known:
            raise InputError(f"{name} is no option of training; it has {', '.join(sorted(known))}")


def _entry_of(plan, settings, name):
    """What an option of `make_plan` is in a plan."""
    if name == "backbone":
        return plan.recipe.backbone
    _refuse_unknown([name], {*_SETTINGS, *vars(plan)})
    return getattr(settings, _SETTINGS[name]) if name in _SETTINGS else getattr(plan, name)


def _find_recipe(detector, recipe):
    cls = get_detector_class(detector)
    if not isinstance(recipe, Recipe):
        named = {one.name.removeprefix(f"{detector}-"): one for one in cls.recipes}
        if cls.recipes:
            named["bundled"] = cls.recipes[0]
        recipe = named.get(recipe) or get_recipe(recipe)
    if recipe.detector != detector:
        raise InputError(
            f"recipe {recipe.name!r} is of the detector {recipe.detector!r}, not {detector!r}"
        )
    return recipe


def _identity_of(path, known=None):
    """What tells a file from another: its checksum; size and time say when to look anew.

    Parameters
    ----------
    path : path-like
    known : dict, optional
        An earlier result. With the same size and time of change the checksum is taken
        from it, since that of a large archive takes a while.

    Returns
    -------
    dict
        ``sha256``, ``bytes``, ``modified_ns``.

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    try:
        stat = os.stat(path)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path) from error
    seen = {"bytes": stat.st_size, "modified_ns": stat.st_mtime_ns}
    if known is not None and all(known.get(name) == value for name, value in seen.items()):
        return {"sha256": known["sha256"], **seen}
    return {"sha256": sha256_of(path), **seen}


def check_identity(plan, record):
    """Identity of the plan's archive, which must be that of the record of a run, if it has one.

    Raises
    ------
    InputError
        When it is another archive, or cannot be read.
    """
    known = record.get("data")
    identity = _identity_of(plan.data, known)
    if known is not None and identity["sha256"] != known["sha256"]:
        raise InputError(
            "is not the archive that the run began with: its checksum differs", plan.data
        )
    return identity


def begun_record(plan, archive, identity, origin, command=None):
    """What ``recipe.json`` holds as a run begins, but for where it runs."""
    return {
        "plan": plan.to_dict(),
        "data": {
            "name": Path(plan.data).name,
            **identity,
            "images": archive.n_images,
            "splits": archive.splits,
            "leak": archive.leak,
            "provenance": archive.provenance,
        },
        "start": origin,
        "command": command or plan.command(),
        "versions": {name: version(name) for name in _VERSIONS},
        "python": platform.python_version(),
    }


def what_may_mislead(plan, archive, record, count):
    """Sentences about the data, and about a run that goes on in ``count`` processes."""
    if archive.leak:
        yield f"scores on the test images are too good: {archive.leak}"
    if plan.test_split not in archive.splits:
        yield (
            f"the archive has no split {plan.test_split!r}: there are no test losses and no scores"
        )
    elif plan.test_images == 0:
        yield "test_images is 0: there are no test losses and no scores"
    elif not archive.count_targets(plan.test_split):
        yield f"the split {plan.test_split!r} has no targets: its scores say nothing"
    if not archive.complete:
        yield "the archive is half built; the images there were at the start are used"
    if record["processes"] != count:
        yield (
            f"the run began in {record['processes']} processes and goes on in {count}: other "
            "anchors are sampled than without the break"
        )


def make_card(record, plan, n_test, step, scores):
    """The model card of weights after a step."""
    training = {
        "data": record["data"]["name"],
        "data_sha256": record["data"]["sha256"],
        "data_images": record["data"]["splits"],
        "data_provenance": record["data"]["provenance"],
        "start": record["start"],
        "seed": plan.seed,
        "steps": step,
        "command": plan.command(),
        "versions": record["versions"],
    }
    if record["data"]["leak"]:
        training["leak"] = record["data"]["leak"]
    card = {
        "title": f"{plan.recipe.name}, trained on {record['data']['name']}",
        "detector": plan.recipe.detector,
        "recipe": plan.recipe.to_dict(),
        "reference": plan.recipe.reference,
        "training": training,
    }
    if scores is not None:
        card["scores"] = {"split": plan.test_split, "images": n_test, **scores}
    return card
