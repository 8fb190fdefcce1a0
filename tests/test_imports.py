"""The design's rules on imports, read from the source."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import astro_objdet

PACKAGE = Path(astro_objdet.__file__).parent

# Rooms from the ground up: a room imports from those on lower floors and from itself.
FLOORS = (
    {"errors", "textlines"},
    {"allocator", "files", "staging"},
    {"catalogs", "images"},
    {"fields"},
    {"skies"},
    {"engine"},
    {"detectors"},
    {"plots"},
    {
        "crossmatches",
        "demo",
        "doctor",
        "evaluationreport",
        "evaluations",
        "htmlreport",
        "preview",
        "reports",
        "runs",
        "trainingplan",
        "trainings",
    },
    {"cli"},
    {"__main__"},
)
# Leaves: nothing but these may import them.
LEAVES = {"cli": {"__main__"}, "plots": {"runs", "evaluations", "htmlreport", "trainings"}}

TORCH = {"torch", "torchvision", "timm", "torchmetrics"}
NETWORK = {
    "astroquery",
    "ftplib",
    "http",
    "huggingface_hub",
    "pyvo",
    "requests",
    "socket",
    "urllib",
}
MAY_USE_NETWORK = ("catalogs/reference.py", "doctor.py", "engine/weights.py", "skies/")
MAY_USE_DISK = (
    "catalogs/detections.py",
    "catalogs/reference.py",
    "catalogs/tables/",
    "crossmatches.py",
    "demo.py",
    "doctor.py",
    "engine/convert.py",
    "engine/training/",
    "engine/weights.py",
    "evaluations.py",
    "fields.py",
    "files.py",
    "images/fitsfile.py",
    "images/inputs.py",
    "images/picture.py",
    "plots/",
    "preview.py",
    "reports.py",
    "runs.py",
    "skies/",
    "staging.py",
    "trainingplan.py",
    "trainings.py",
)
# Methods that open, list or change files, whatever object they are called on.
DISK_CALLS = {
    "exists",
    "fdopen",
    "glob",
    "is_dir",
    "is_file",
    "iterdir",
    "mkdir",
    "open",
    "read_bytes",
    "read_text",
    "rename",
    "rglob",
    "rmtree",
    "savefig",
    "unlink",
    "write_bytes",
    "write_text",
    "writeto",
}


def sources():
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path):
    return path.relative_to(PACKAGE).as_posix()


def room_of(path):
    return name_of(path).split("/")[0].removesuffix(".py")


def imported(path):
    """Modules a file imports, at its top or inside functions, as dotted names."""
    parts = ["astro_objdet", *path.relative_to(PACKAGE).with_suffix("").parts]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [node.module] if node.module else []
            if node.level:
                base = [*parts[: -node.level], *base]
            if base == ["astro_objdet"]:
                # `from astro_objdet import plots` names a room.
                yield from (f"astro_objdet.{alias.name}" for alias in node.names)
            else:
                yield ".".join(base)


def rooms_imported(path):
    for module in imported(path):
        first, _, rest = module.partition(".")
        if first == "astro_objdet" and rest:
            yield rest.split(".")[0]


def floor_of(room):
    (floor,) = [number for number, rooms in enumerate(FLOORS) if room in rooms]
    return floor


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_imports_go_one_way(path):
    room = room_of(path)
    if room == "__init__":
        # The public face: loads lazily, so that it may name any room.
        return
    for other in set(rooms_imported(path)) - {room}:
        assert floor_of(other) <= floor_of(room), f"{room} imports {other}"
        if other in LEAVES:
            assert room in LEAVES[other], f"{room} imports the leaf {other}"


def test_rooms_that_know_nothing_of_each_other():
    for path in sources():
        others = set(rooms_imported(path))
        if room_of(path) == "images":
            assert "catalogs" not in others, name_of(path)
        if room_of(path) == "skies":
            assert not others & {"engine", "detectors"}, name_of(path)


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_only_the_engine_imports_torch(path):
    if room_of(path) != "engine":
        assert not {module.split(".")[0] for module in imported(path)} & TORCH


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_who_may_use_the_network(path):
    if not name_of(path).startswith(MAY_USE_NETWORK):
        assert not {module.split(".")[0] for module in imported(path)} & NETWORK


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_who_may_use_the_disk(path):
    if name_of(path).startswith(MAY_USE_DISK):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = getattr(node.func, "attr", None)
            plain_open = getattr(node.func, "id", None) == "open"
            disk = plain_open or called in DISK_CALLS
            assert not disk, f"line {node.lineno}: {ast.unparse(node.func)}()"


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_no_assert_no_exit_no_broad_except(path):
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: assert"
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or getattr(node.type, "id", "") in (
                "BaseException",
                "Exception",
            )
            assert not broad, f"line {node.lineno}: except for everything"
        if isinstance(node, ast.Attribute) and room_of(path) not in ("cli", "__main__"):
            owner = getattr(node.value, "id", None)
            assert (owner, node.attr) != ("sys", "exit"), f"line {node.lineno}"


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("astro_objdet", "torch|numpy|astropy"),
        ("astro_objdet.cli.main", "torch|numpy|astropy"),
        ("astro_objdet.images", "torch"),
        ("astro_objdet.catalogs", "torch"),
        ("astro_objdet.detectors", "torch"),
        ("astro_objdet.runs", "torch"),
    ],
)
def test_what_an_import_does_not_load(module, absent):
    code = f"import sys, {module}; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = {name.split(".")[0] for name in result.stdout.split()}
    assert not loaded & set(absent.split("|"))


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_modules_are_short(path):
    assert len(path.read_text().splitlines()) <= 400


def test_the_source_names_no_folder_of_a_machine():
    local = re.compile(r"[\"'\s](?:/home/|/root/|/Users/|C:\\\\)")
    for path in sources():
        assert not local.search(path.read_text()), name_of(path)
