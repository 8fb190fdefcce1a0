"""``astro-objdet doctor`` and the checks behind it."""

import json

import pytest

from astro_objdet import doctor as library
from astro_objdet.doctor import Check
from astro_objdet.engine import devices
from astro_objdet.engine import weights as engine
from astro_objdet.errors import ModelError


@pytest.fixture
def good_weights(monkeypatch, tmp_path):
    row = {"name": "deepcee", "path": tmp_path, "sha256": "ab" * 32, "title": "clusters"}
    monkeypatch.setattr(engine, "list_weights", lambda: [row])
    monkeypatch.setattr(engine, "load_state", lambda path: None)


def by_name():
    return {check.name: check for check in library.doctor()}


def test_usable(command, good_weights):
    result = command("doctor")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "ready to detect"
    assert "sha256 abababababab" in result.stdout


def test_as_json(command, good_weights):
    checks = json.loads(command("doctor", "--json").stdout)
    assert {"Python", "torch", "device", "memory", "weights deepcee"} <= {
        check["name"] for check in checks
    }


def test_damaged_weights(command, monkeypatch, good_weights):
    def damaged(path):
        raise ModelError("deepcee.safetensors: damaged weights")

    monkeypatch.setattr(engine, "load_state", damaged)
    result = command("doctor")
    assert result.exit_code == 1
    assert "weights: pip install --force-reinstall" in result.stdout
    assert "not usable yet" in result.stdout


def test_no_weights(monkeypatch):
    monkeypatch.setattr(engine, "list_weights", list)
    assert by_name()["weights"].status == "fail"


@pytest.mark.parametrize(
    "error", [ImportError("no torch"), RuntimeError("operator torchvision::nms")]
)
def test_torch_that_does_not_work(monkeypatch, good_weights, error):
    def fail(device):
        raise error

    monkeypatch.setattr(devices, "describe_device", fail)
    check = by_name()["device"]
    assert check.status == "fail"
    assert str(error) in check.detail
    assert check.remedy.startswith("pip install")


def test_missing_and_old_packages(monkeypatch, good_weights):
    found = dict.fromkeys(("galsim", "mocpy"))

    def version(name):
        if name in found:
            raise library.PackageNotFoundError(name)
        return "0.1" if name == "regions" else "999"

    monkeypatch.setattr(library, "version", version)
    checks = by_name()
    assert checks["astropy"].status == "ok"
    assert checks["regions"].status == "fail"
    assert checks["regions"].detail.startswith("0.1, but >=")
    assert checks["regions"].remedy.startswith("pip install 'regions>=")
    assert checks["extra simulate"] == Check(
        "extra simulate",
        "note",
        "without galsim",
        "if you want it: pip install 'astro-objdet[simulate]'",
    )


def test_little_memory_and_disk(monkeypatch, good_weights):
    sizes = {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": 10**9, "SC_AVPHYS_PAGES": 10**8}
    monkeypatch.setattr(library.os, "sysconf", sizes.__getitem__)
    monkeypatch.setattr(library, "ENOUGH_DISK", 1e18)
    checks = by_name()
    assert checks["memory"].remedy == "use --batch-size 1 and --workers 1"
    assert "1.0 GB, 0.1 GB of it unused" in checks["memory"].detail
    assert checks["disk here"].status == "note"


def test_a_system_that_does_not_tell_its_memory(monkeypatch, good_weights):
    monkeypatch.delattr(library.os, "sysconf")
    assert by_name()["memory"].detail == "this system does not tell"
