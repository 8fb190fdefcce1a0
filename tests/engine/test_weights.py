import json
import struct

import pytest
import torch

from astro_objdet.detectors import Recipe, get_recipe
from astro_objdet.engine.convert import convert_weights
from astro_objdet.engine.fasterrcnn import build_model
from astro_objdet.engine.loading import load_model
from astro_objdet.engine.weights import (
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
    assert set(output) == {"boxes", "scores", "labels"}


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
