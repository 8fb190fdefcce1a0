import json
import resource

import pytest
import torch

from astro_objdet.engine.training.checkpoints import Checkpoints, collect_state, restore_state
from astro_objdet.engine.training.optim import WeightAverage
from astro_objdet.errors import ModelError, ResourceError


def content(step, size=64):
    values = torch.arange(size, dtype=torch.float32) * step
    return {"model.weight": values, "optimizer.0.step": torch.tensor(float(step))}, {"step": step}


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path)


@pytest.fixture
def notices():
    return []


def test_two_generations(checkpoints, notices):
    assert checkpoints.newest(notices.append) is None
    for step in (1, 2, 3):
        checkpoints.save(*content(step))
    tensors, facts = checkpoints.newest(notices.append)
    assert facts == {"step": 3}
    assert torch.equal(tensors["model.weight"], content(3)[0]["model.weight"])
    assert tensors["optimizer.0.step"].shape == ()
    checkpoints.last.unlink()
    assert checkpoints.newest(notices.append)[1] == {"step": 2}
    assert notices == ["going on from the checkpoint before the last one, of step 2"]


def damaged(path, how):
    whole = path.read_bytes()
    if how == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "a tensor's bit":
        path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    else:
        path.write_bytes(whole.replace(rb"step\": 2", rb"step\": 7"))
    assert path.read_bytes() != whole


@pytest.mark.parametrize("how", ["cut", "empty", "a tensor's bit", "a fact"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(checkpoints, notices, how):
    for step in (1, 2):
        checkpoints.save(*content(step))
    damaged(checkpoints.last, how)
    assert checkpoints.newest(notices.append)[1] == {"step": 1}
    assert "last.safetensors: damaged checkpoint" in notices[0]
    assert "the checkpoint before the last one, of step 1" in notices[1]
    damaged(checkpoints.previous, "cut")
    with pytest.raises(ModelError, match="no checkpoint of this run can be read.*--overwrite"):
        checkpoints.newest(notices.append)


def test_half_a_temporary_file_is_no_checkpoint(checkpoints, notices, tmp_path):
    checkpoints.save(*content(1))
    (tmp_path / ".0123456789abcdef.safetensors").write_bytes(b"torn")
    checkpoints.save(*content(2))
    assert checkpoints.newest(notices.append)[1] == {"step": 2}
    assert notices == []


def test_something_else_under_its_name(checkpoints, notices):
    from safetensors.torch import save_file

    save_file({"weight": torch.ones(1)}, checkpoints.last)
    with pytest.raises(ModelError, match="no checkpoint of this run"):
        checkpoints.newest(notices.append)
    assert "not a checkpoint of this version" in notices[0]


def test_a_full_disk_keeps_the_last_checkpoint(checkpoints, notices, tmp_path):
    checkpoints.save(*content(1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(ResourceError, match="last.safetensors: cannot be written"):
            checkpoints.save(*content(2, size=100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["last.safetensors"]
    assert checkpoints.newest(notices.append)[1] == {"step": 1}


def test_no_code_can_hide_in_it(checkpoints):
    """The header is JSON, the rest is numbers."""
    checkpoints.save(*content(5))
    raw = checkpoints.last.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    assert json.loads(header["__metadata__"]["facts"]) == {"step": 5}


def trained(optimizer, steps):
    torch.manual_seed(0)
    model = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    weights = list(model.parameters())
    options = {"momentum": 0.9} if optimizer is torch.optim.SGD else {}
    optimizer = optimizer(weights, lr=0.1, **options)
    average = WeightAverage(weights, 0.9)
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        model(torch.full((1, 3, 5, 5), float(step))).square().sum().backward()
        optimizer.step()
        average.update(step)
    return model, optimizer, average


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_everything_comes_back(optimizer, checkpoints, notices):
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    one, other = trained(optimizer, 3), trained(optimizer, 0)
    checkpoints.save(*collect_state(*one, scaler))
    tensors, facts = checkpoints.newest(notices.append)
    restore_state(tensors, facts, *other, scaler)
    for a, b in zip(one[0].parameters(), other[0].parameters(), strict=True):
        assert torch.equal(a, b)
        for key, value in one[1].state[a].items():
            assert torch.equal(value, other[1].state[b][key])
            assert value.stride() == other[1].state[b][key].stride()
    for a, b in zip(one[2].values, other[2].values, strict=True):
        assert torch.equal(a, b)


def test_a_checkpoint_of_another_model(checkpoints, notices):
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    checkpoints.save(*collect_state(*trained(torch.optim.SGD, 1), scaler))
    other = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
    with pytest.raises(ModelError, match="does not fit this model and settings"):
        restore_state(*checkpoints.newest(notices.append), other, optimizer, None, scaler)


def test_a_damaged_checkpoint_does_not_replace_a_good_one(tmp_path):
    """Damage to the last, a resume from the one before, and a kill in the next write."""
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save({"a": torch.full((3,), float(step))}, {"step": step})
    checkpoints.last.write_bytes(checkpoints.last.read_bytes()[:-4])
    again = Checkpoints(tmp_path)
    assert again.newest(lambda text: None)[1]["step"] == 1
    again.save({"a": torch.full((3,), 3.0)}, {"step": 3})
    # both that are there now are whole
    checkpoints.last.unlink()
    assert Checkpoints(tmp_path).newest(lambda text: None)[1]["step"] == 1
