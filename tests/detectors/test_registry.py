import pytest

from astro_objdet import list_detectors
from astro_objdet.detectors import Detector, base, get_detector_class, register_detector
from astro_objdet.errors import InputError, ModelError


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(base, "_REGISTRY", dict(base._REGISTRY))


def test_deepcee_is_there():
    assert "deepcee" in list_detectors()
    assert get_detector_class("deepcee").name == "deepcee"


def test_a_name_is_taken_once(registry):
    list_detectors()
    with pytest.raises(InputError, match="detector 'deepcee' is registered already"):

        @register_detector
        class Other(Detector):
            name = "deepcee"


def test_unknown_detector_lists_the_known():
    with pytest.raises(ModelError, match="no detector is called 'deepsea'; there are: .*deepcee"):
        get_detector_class("deepsea")


def test_an_outside_package_adds_a_detector(registry, monkeypatch):
    class Rings(Detector):
        name = "rings"

    class Entry:
        name = "rings"

        @staticmethod
        def load():
            return Rings

    monkeypatch.setattr(base, "entry_points", lambda group: [Entry])
    assert list_detectors() == ["deepcee", "rings"]
    assert get_detector_class("rings") is Rings
