"""The documentation keeps up with the code: commands, names, recipes, examples."""

import ast
import contextlib
import io
import re
import shlex
import sys
from importlib import import_module
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from astropy import units as u
from astropy.nddata import CCDData

import astro_objdet
from astro_objdet import Detector, list_detectors
from astro_objdet.cli.main import main
from astro_objdet.detectors import TrainingSettings, base
from astro_objdet.detectors.deepcee import BUNDLED, PAPER
from astro_objdet.engine.weights import load_card
from astro_objdet.skies.populations import haloes, relations
from astro_objdet.skies.simulate import render_field

DOCS = Path(__file__).parents[1] / "docs"
PACKAGE = Path(astro_objdet.__file__).parent
#: Modules that users have no business with.
INTERNAL = {"__main__", "cli", "staging", "textlines", "trainingplan"}


def page(name):
    return (DOCS / f"{name}.rst").read_text()


def sections(text):
    """Text below each heading underlined with ---, by heading."""
    parts = re.split(r"^(.+)\n-{3,}\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def commands(group=main, prefix=()):
    """Each command with its words, groups left out: ('weights', 'list')."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*prefix, name))
        else:
            yield " ".join((*prefix, name)), command


COMMANDS = dict(commands())


@pytest.mark.parametrize("name", [*COMMANDS])
def test_each_option_of_a_command_is_documented_and_no_other(name):
    text = sections(page("cli"))[name]
    options = [p for p in COMMANDS[name].params if isinstance(p, click.Option)]
    known = {word for o in options for word in (*o.opts, *o.secondary_opts)}
    described = [line for line in text.splitlines() if line.startswith("``-")]
    found = {w for line in described for w in re.findall(r"(?<![\w-])--?[a-z][\w-]*", line)}
    assert found == known


@pytest.mark.parametrize("name", [*COMMANDS])
def test_each_choice_and_argument_of_a_command_is_documented(name):
    text = sections(page("cli"))[name]
    for parameter in COMMANDS[name].params:
        if isinstance(parameter.type, click.Choice):
            for choice in parameter.type.choices:
                assert f"``{choice}``" in text, parameter.name
        if isinstance(parameter, click.Argument):
            assert (parameter.metavar or parameter.name.upper()) in text


@pytest.mark.parametrize("name", [*COMMANDS])
def test_stated_defaults_are_those_of_the_command(name):
    text = sections(page("cli"))[name]
    for option in COMMANDS[name].params:
        if option.param_type_name == "option" and option.show_default and option.help:
            stated = text.split(f"``{option.opts[-1]}", 1)[1].split("\n\n``")[0]
            if option.default not in (None, "auto") and "As for" not in stated:
                assert str(option.default) in stated, option.name


def test_no_command_is_documented_that_does_not_exist():
    assert set(sections(page("cli"))) == {*COMMANDS, "Exit codes"}


def command_lines():
    """Each ``astro-objdet ...`` in an indented line of a page, as words."""
    for path in sorted(DOCS.glob("*.rst")):
        for line in path.read_text().splitlines():
            if re.match(r"    astro-objdet (?!.*(\[|[A-Z]{4}))", line):
                words = shlex.split(re.split(r" [|>]", line)[0])
                yield pytest.param(words[1:], id=f"{path.stem}: {line.strip()}")


@pytest.mark.parametrize("words", [*command_lines()])
def test_command_lines_on_the_pages_are_understood(words):
    command = main
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(click.Context(command), words)
    # parses and checks the words, and runs nothing
    command.make_context(name, list(words)).close()


def test_readme_says_of_the_weights_what_their_card_says():
    card = load_card("deepcee")
    sky, default = card["scores"], card["recipe"]["score_threshold"]
    (row,) = [row for row in sky["table"] if row["threshold"] == default]
    tp, fp, fn, area = row["tp"], row["fp"], row["fn"], sky["area_deg2"]
    text = " ".join((DOCS.parent / "README.md").read_text().split())
    for words in (
        f"On {area:.0f} square degrees",
        f"find {tp:.0f} of {tp + fn:.0f} clusters",
        f"{fp / area:.2f} false detections per square degree",
        f"a purity of {100 * tp / (tp + fp):.0f} %",
        f"to {row['median_offset_kpc']:.0f} kpc",
    ):
        assert words in text


def test_exit_codes_of_the_errors_are_documented():
    from astro_objdet import errors

    text = sections(page("cli"))["Exit codes"]
    listed = set(map(int, re.findall(r"^(\d+) ", text, flags=re.MULTILINE)))
    codes = {getattr(getattr(errors, name), "exit_code", 0) for name in errors.__all__}
    assert codes | {2, 4, 130} == listed


def public_names():
    """Full names of what is public: a room's __all__, or those of its modules."""
    for name in sorted(astro_objdet.__all__):
        if not name.startswith("__"):
            yield f"astro_objdet.{name}"
    for path in sorted(PACKAGE.iterdir()):
        if path.stem in INTERNAL or path.name == "__init__.py":
            continue
        if path.suffix == ".py":
            yield from names_of(f"astro_objdet.{path.stem}")
        elif (path / "__init__.py").is_file():
            room = f"astro_objdet.{path.name}"
            if hasattr(import_module(room), "__all__"):
                yield from names_of(room)
            else:
                for module in sorted(path.glob("[!_]*.py")):
                    yield from names_of(f"{room}.{module.stem}")


def names_of(module):
    yield from (f"{module}.{name}" for name in import_module(module).__all__)


def listed_names():
    """Full names in the autosummary tables of the reference."""
    module = None
    for line in page("api").splitlines():
        if line.startswith(".. currentmodule:: "):
            module = line.split()[-1]
        elif found := re.fullmatch(r"(?:   |\.\. data:: |- ``)([\w.]+)(``: .+)?", line):
            yield f"{module}.{found[1]}"


def test_reference_lists_every_public_name():
    assert sorted(set(public_names()) - set(listed_names())) == []


def test_reference_lists_nothing_that_does_not_exist():
    for name in listed_names():
        module, _, last = name.rpartition(".")
        assert hasattr(import_module(module), last), name


def recipe_rows():
    """Entry, value for PAPER and value for BUNDLED of the table in papers.rst."""
    table = page("papers").split(":class: recipe", 1)[1].split("\n\n", 2)[1]
    for line in table.splitlines():
        entry, _, _, paper, bundled = (cell.strip() for cell in line.split("|"))
        yield entry.strip("`"), ast.literal_eval(paper[2:-2]), ast.literal_eval(bundled[2:-2])


def entry_of(recipe, name):
    for part in name.split("."):
        recipe = getattr(recipe, part)
    return recipe


@pytest.mark.parametrize(("name", "paper", "bundled"), [*recipe_rows()])
def test_table_of_the_recipe_holds_its_numbers(name, paper, bundled):
    assert (entry_of(PAPER, name), entry_of(BUNDLED, name)) == (paper, bundled)


def test_table_of_the_recipe_is_complete():
    training = {f"training.{name}" for name in vars(PAPER.training)}
    entries = {*vars(PAPER), *training} - {"name", "detector", "reference", "training"}
    assert {name for name, _, _ in recipe_rows()} == entries


def test_places_named_in_papers_exist():
    # written as ``module: name`` or ``module``, below astro_objdet
    rooms = "skies|engine|images|demo|detectors|catalogs|plots|crossmatches"
    places = re.findall(rf"``((?:{rooms})[\w.]*)(?:: (\w+))?``", page("papers"))
    assert len(places) > 10
    for module, name in places:
        found = import_module(f"astro_objdet.{module}") if name else None
        assert found is None or hasattr(found, name), (module, name)


def test_program_in_skies_gives_the_red_sequence(sample_data):
    catalogue = "redmapper_dr8_public_v5.10_catalog.fits"
    program = re.search(r"code-block:: python\n\n(.+?)\n\n(?=\S)", page("skies"), re.DOTALL)[1]
    program = re.sub(r"^ {4}", "", program, flags=re.MULTILINE)
    path = sample_data / "catalogs" / catalogue
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(program.replace(f'"{catalogue}"', repr(str(path))), {})
    rows, richness = output.getvalue().split("[")
    rows = np.array([line.split() for line in rows.splitlines()], dtype=float)
    table = relations._RED_SEQUENCE[3:-3]
    np.testing.assert_allclose(rows, table, rtol=0, atol=1e-9)
    richness = np.array(richness.rstrip("]\n").split(), dtype=float)
    # redMaPPer's least richness is the cut, give or take its scatter
    np.testing.assert_allclose(richness[1:], haloes._RICHNESS[1:], atol=0.06)


@pytest.fixture
def rings(tmp_path, monkeypatch):
    """The example detector, as if its package were installed."""
    info = tmp_path / "ringfinder-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ringfinder\nVersion: 1.0\n")
    # the entry point as the page on detectors has it
    line = re.search(r"^ +(rings = ringfinder:RingDetector)$", page("detectors"), re.MULTILINE)
    (info / "entry_points.txt").write_text(f"[astro_objdet.detectors]\n{line[1]}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(DOCS / "examples")
    monkeypatch.setattr(base, "_REGISTRY", dict(base._REGISTRY))
    yield import_module("ringfinder")
    for name in ("ringfinder", "train_rings"):
        sys.modules.pop(name, None)


def ring_field(centres, shape=(400, 500)):
    """A rendered field with rings of 8 arcsec radius added, one CCDData per band."""
    sky = render_field("sdss", shape, seed=4, clusters=0, groups=0)
    y, x = np.indices(shape)
    scale = sky.survey.pixel_scale
    for x0, y0 in centres:
        r = np.hypot(x - x0, y - y0) * scale
        ring = np.exp(-0.5 * ((r - 7.92) / 0.8) ** 2) * scale**2
        sky.image[:] += ring.astype(np.float32)
    bands = zip("gri", sky.image, strict=True)
    return {band: CCDData(plane, unit=u.nmgy, wcs=sky.wcs) for band, plane in bands}


def test_example_detector_finds_rings_and_nothing_else(rings):
    # the third reaches over the border, and refine leaves it out
    found = rings.RingDetector().detect(ring_field([(200, 150), (420, 300), (6, 200)]))
    x = (found["x_min"] + found["x_max"]).value / 2
    y = (found["y_min"] + found["y_max"]).value / 2
    order = np.argsort(x)
    np.testing.assert_allclose(x[order], [200, 420], atol=1)
    np.testing.assert_allclose(y[order], [150, 300], atol=1)
    assert set(found["label"]) == {"ring"}
    assert found.meta["detector"] == "rings"
    np.testing.assert_allclose(found["width"].to_value(u.arcsec), 2 * 7.92, rtol=1e-3)


def test_example_detector_is_known_by_its_entry_point(rings):
    assert list_detectors() == ["deepcee", "rings"]
    assert base.get_recipe("rings-10px") is rings.RECIPE


class RingViews(torch.utils.data.Dataset):
    """Black pictures with one white ring."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        y, x = np.indices((128, 128)) - (40 + 6 * index)
        image = np.exp(-0.5 * ((np.hypot(x, y) - 10) / 1.5) ** 2).astype(np.float32)
        middle = 40.5 + 6 * index
        box = torch.tensor([[middle - 10, middle - 10, middle + 10, middle + 10]])
        image = torch.from_numpy(image).expand(3, -1, -1).clone()
        return image, {"boxes": box, "labels": torch.ones(1, dtype=torch.int64)}


def test_example_of_training_gives_weights_of_that_detector(rings, tmp_path):
    example = import_module("train_rings")
    settings = TrainingSettings(learning_rate=1e-3, batch_size=2, steps=2)
    path = tmp_path / "rings.safetensors"
    detector = example.make_weights(RingViews(), path, settings)
    assert isinstance(detector, rings.RingDetector)
    assert detector.recipe == example.RECIPE
    assert Detector.from_pretrained(path, sha256=detector.sha256).name == "rings"


def test_pages_name_no_path_of_a_machine():
    for path in (*DOCS.glob("*.rst"), *DOCS.glob("examples/*.py"), DOCS / "conf.py"):
        assert not re.search(r"/(work|home|root|tmp|Users)/", path.read_text()), path.name


def test_every_page_is_reached_from_the_index():
    entries = re.findall(r"^   (\w+)$", page("index"), flags=re.MULTILINE)
    assert {path.stem for path in DOCS.glob("*.rst")} == {"index", *entries}
