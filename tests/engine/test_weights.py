import json
import struct

import numpy as np
import pytest
import torch
from astropy.table import QTable

from astro_objdet.detectors import Recipe, get_recipe
from astro_objdet.engine.convert import convert_weights
from astro_objdet.engine.fasterrcnn import build_model
from astro_objdet.engine.loading import load_model
from astro_objdet.engine.weights import (
    calibrate_weights,
    list_weights,
    load_card,
    load_state,
    resolve_weights,
    save_weights,
)
from astro_objdet.errors import InputError, ModelError, NetworkError, OutputExistsError


@pytest.fixture(scope="module")
def recipe():
    return get_recipe("deepcee-lite0").replace(head_width=8, neck_channels=8)


@pytest.fixture(scope="module")
def state(recipe):
    torch.manual_seed(1)
    return build_model(recipe).state_dict()


@pytest.fixture(scope="module")
def card(recipe):
    return {"title": "tiny", "detector": "deepcee", "recipe": recipe.to_dict()}


@pytest.fixture
def path(tmp_path, state, card):
    path = tmp_path / "tiny.safetensors"
    save_weights(state, path, card)
    return path


def test_card_and_tensors_come_back(path, state, card, recipe):
    read = load_card(path)
    assert read["title"] == "tiny"
    assert Recipe.from_dict(read["recipe"]) == recipe
    tensors, _, digest = load_state(path)
    assert len(digest) == 64
    assert set(tensors) == set(state)
    for name, tensor in tensors.items():
        assert torch.equal(tensor, state[name])


def test_model_runs_after_loading(path):
    _, recipe, model, _ = load_model(path, Recipe.from_dict, "cpu")
    assert recipe.head_width == 8
    assert not model.training
    with torch.inference_mode():
        (output,) = model([torch.rand(3, 64, 96)])
    assert set(output) == {"boxes", "scores", "labels", "estimates"}


def test_bundled_weights_are_listed():
    rows = {row["name"]: row for row in list_weights()}
    assert "deepcee" in rows
    assert rows["deepcee"]["size"] < 15e6
    assert resolve_weights("deepcee") == rows["deepcee"]["path"]


def test_expected_sha256(path):
    _, _, digest = load_state(path)
    load_state(path, sha256=digest.upper())
    with pytest.raises(ModelError, match=r"tiny.safetensors: sha256 is .*, expected 00"):
        load_state(path, sha256="00")


def test_a_flipped_bit_is_noticed(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="damaged weights: sha256 differs from the card"):
        load_state(path)


def test_truncated(path):
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="damaged weights"):
        load_state(path)


@pytest.mark.parametrize("content", [b"", b"abc", b"<html>not found</html>", b"\0" * 99])
def test_other_files(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="x.safetensors: not a safetensors file"):
        load_card(path)


def test_safetensors_without_card(tmp_path):
    header = json.dumps({"__metadata__": {"format": "pt"}}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(ModelError, match="without an astro_objdet model card"):
        load_card(path)


def test_pickle_is_refused_with_the_command(tmp_path, state):
    for legacy in (False, True):
        path = tmp_path / f"foreign{legacy}.pth"
        torch.save(state, path, _use_new_zipfile_serialization=not legacy)
        with pytest.raises(ModelError, match="a pickle, .*astro-objdet weights convert"):
            load_state(path)


def test_convert(tmp_path, state, recipe):
    source, out = tmp_path / "foreign.pth", tmp_path / "converted.safetensors"
    torch.save({"model": state}, source)
    convert_weights(source, out, recipe)
    tensors, card, _ = load_state(out)
    assert card["training"]["source"] == "foreign.pth"
    assert torch.equal(
        tensors["roi_heads.box_head.fc6.weight"], state["roi_heads.box_head.fc6.weight"]
    )
    with pytest.raises(OutputExistsError, match=r"converted.safetensors"):
        convert_weights(source, out, recipe)


def test_convert_refuses_code_and_misfits(tmp_path, state, recipe):
    out = tmp_path / "out.safetensors"
    torch.save({"model": print}, tmp_path / "code.pth")
    with pytest.raises(ModelError, match="code.pth: holds more than tensors"):
        convert_weights(tmp_path / "code.pth", out, recipe)
    torch.save({"a": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="other.pth: does not fit its recipe"):
        convert_weights(tmp_path / "other.pth", out, recipe)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ModelError, match="not a state dict"):
        convert_weights(tmp_path / "list.pth", out, recipe)
    with pytest.raises(InputError, match="missing.pth: no such file"):
        convert_weights(tmp_path / "missing.pth", out, recipe)
    assert not out.exists()


@pytest.fixture
def judged():
    """Detections of known status, as an evaluation gives them."""
    rng = np.random.default_rng(2)
    score = rng.random(400)
    status = np.where(rng.random(400) < score**2, "true", "false")
    meta = {"recipe": "deepcee-lite0", "threshold": 0.05, "radius": "100 kpc"}
    return QTable({"score": score, "status": status}, meta=meta)


def test_calibrated_copy(path, judged, tmp_path, state):
    judged.write(tmp_path / "detections.ecsv")
    before, out = path.read_bytes(), tmp_path / "calibrated.safetensors"
    calibration, digest = calibrate_weights(path, tmp_path / "detections.ecsv", out, sky="north")
    assert path.read_bytes() == before
    tensors, card, actual = load_state(out, sha256=digest)
    assert all(torch.equal(tensors[name], state[name]) for name in state)
    plain = load_card(path)
    entry = card.pop("calibration")
    assert card == plain
    assert entry == calibration.to_dict()
    assert entry["n"] == 400
    assert entry["sky"] == "north"
    assert entry["recipe"] == "deepcee-lite0"
    assert entry["radius"] == "100 kpc"
    assert entry["threshold"] == 0.05
    assert entry["weights_sha256"] == load_state(path)[2]
    again = tmp_path / "again.safetensors"
    calibrate_weights(path, tmp_path / "detections.ecsv", again, sky="north")
    assert again.read_bytes() == out.read_bytes()


def test_calibrated_copy_is_written_whole_or_not_at_all(path, judged, tmp_path):
    table, out = tmp_path / "detections.ecsv", tmp_path / "calibrated.safetensors"
    judged.write(table)
    out.write_bytes(b"mine")
    with pytest.raises(OutputExistsError, match="calibrated.safetensors: exists"):
        calibrate_weights(path, table, out)
    assert out.read_bytes() == b"mine"
    judged[:5].write(table, overwrite=True)
    with pytest.raises(InputError, match="detections.ecsv: a calibration needs at least 10 true"):
        calibrate_weights(path, table, out, overwrite=True)
    assert out.read_bytes() == b"mine"
    with pytest.raises(InputError, match="saved as .safetensors"):
        judged.write(table, overwrite=True)
        calibrate_weights(path, table, tmp_path / "calibrated.pth")


def test_calibrating_replaces_none_of_its_inputs(path, judged, tmp_path):
    table = tmp_path / "detections.ecsv"
    judged.write(table)
    before = path.read_bytes(), table.read_bytes()
    for out in (path, table):
        with pytest.raises(InputError, match="is read for this, and never replaced"):
            calibrate_weights(path, table, out, overwrite=True)
    assert (path.read_bytes(), table.read_bytes()) == before


def test_detections_of_another_recipe_or_of_other_weights(path, judged, tmp_path):
    table, out = tmp_path / "detections.ecsv", tmp_path / "calibrated.safetensors"
    judged.meta["recipe"] = "rings"
    judged.write(table)
    with pytest.raises(InputError, match=r"of the recipe 'rings', the weights of 'deepcee-lite0'"):
        calibrate_weights(path, table, out)
    judged.meta.update(recipe="deepcee-lite0", weights={"name": "other", "sha256": "0" * 64})
    judged.write(table, overwrite=True)
    with pytest.raises(InputError, match="made by weights of sha256 000.*, these are"):
        calibrate_weights(path, table, out)
    assert not out.exists()
    # by the same ones, and once more by the copy that has the same tensors
    judged.meta["weights"] = {"name": "tiny", "sha256": load_state(path)[2]}
    judged.write(table, overwrite=True)
    calibrate_weights(path, table, out)
    calibrate_weights(out, table, tmp_path / "again.safetensors")


def test_a_card_whose_calibration_is_null(judged, tmp_path, state, card):
    save_weights(state, tmp_path / "null.safetensors", {**card, "calibration": None})
    judged.meta["weights"] = {"sha256": load_state(tmp_path / "null.safetensors")[2]}
    judged.write(tmp_path / "d.ecsv")
    out = tmp_path / "out.safetensors"
    assert calibrate_weights(tmp_path / "null.safetensors", tmp_path / "d.ecsv", out)[0].n == 400


def test_detections_of_no_origin_are_warned_of(path, judged, tmp_path):
    judged.meta.clear()
    judged.write(tmp_path / "plain.csv")
    with pytest.warns(UserWarning, match=r"plain.csv: names neither a recipe nor weights"):
        calibrate_weights(path, tmp_path / "plain.csv", tmp_path / "out.safetensors")


def test_unknown_name_lists_what_there_is():
    with pytest.raises(ModelError, match=r"no weights at 'deepsea'.*deepcee"):
        resolve_weights("deepsea")


def test_wrong_suffix(tmp_path, state, card):
    with pytest.raises(InputError, match="weights are saved as .safetensors"):
        save_weights(state, tmp_path / "x.pth", card)


def test_hub_that_does_not_answer(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(NetworkError, match="hf://nobody/nothing: hub not reached"):
        resolve_weights("hf://nobody/nothing")
    with pytest.raises(ModelError, match="not of the form hf://owner/name"):
        resolve_weights("hf://a/b/c/d")
