import copy

import pytest
import torch
from training_fixture import TINY

from astro_objdet.engine.fasterrcnn import build_model
from astro_objdet.engine.training.ignoring import respect_ignored


def box(*edges):
    return torch.tensor([edges], dtype=torch.float32)


def target(boxes, ignored=None):
    found = {"boxes": boxes, "labels": torch.ones(len(boxes), dtype=torch.int64)}
    return found if ignored is None else found | {"ignored": ignored}


NOTHING = torch.empty(0, 4)
# in order: on the target; on the ignored box; inside it; around it; half way; far from both
ANCHORS = torch.tensor(
    [
        [10.0, 10, 50, 50],
        [60, 60, 100, 100],
        [70, 70, 90, 90],
        [30, 30, 130, 130],
        [90, 60, 130, 100],
        [200, 200, 240, 240],
    ]
)
TARGET, IGNORED = box(10, 10, 50, 50), box(60, 60, 100, 100)


@pytest.fixture
def model():
    torch.manual_seed(1)
    return respect_ignored(build_model(TINY))


def anchor_labels(model, given):
    (labels,), _ = model.rpn.assign_targets_to_anchors([ANCHORS], [given])
    return labels.tolist()


def test_anchors_on_ignored_boxes_are_neither_foreground_nor_background(model):
    assert anchor_labels(model, target(TARGET)) == [1, 0, 0, 0, 0, 0]
    # IoU 1; wholly inside; IoU 0.16; IoU 0.14 and a quarter of it inside; none
    assert anchor_labels(model, target(TARGET, IGNORED)) == [1, -1, -1, 0, 0, 0]
    assert anchor_labels(model, target(NOTHING, IGNORED)) == [0, -1, -1, 0, 0, 0]


def test_anchors_that_fit_a_target_better_stay_foreground(model):
    near = box(16, 16, 56, 56)
    assert anchor_labels(model, target(TARGET, near))[0] == 1
    assert anchor_labels(model, target(near, TARGET))[0] == -1


def proposal_labels(model, given):
    """Labels of the proposals that are sampled, with all of them sampled."""
    heads = model.roi_heads
    heads.fg_bg_sampler.batch_size_per_image = 1000
    proposals, _, labels, _ = heads.select_training_samples([ANCHORS.clone()], [given])
    return {tuple(p): n for p, n in zip(proposals[0].tolist(), labels[0].tolist(), strict=True)}


def test_proposals_on_ignored_boxes_are_not_sampled(model):
    plain = proposal_labels(model, target(TARGET))
    assert plain == {tuple(a): float(k == 0) for k, a in enumerate(ANCHORS.tolist())}
    for boxes in (TARGET, NOTHING):
        kept = proposal_labels(model, target(boxes, IGNORED))
        gone = {tuple(a) for a in ANCHORS.tolist()} - set(kept)
        assert gone == {tuple(a) for a in ANCHORS[1:3].tolist()}


def test_targets_of_the_batch_before_leave_nothing_behind(model):
    proposal_labels(model, target(TARGET, IGNORED))
    assert len(proposal_labels(model, target(TARGET))) == len(ANCHORS)


def test_losses_see_the_difference_and_only_then(model):
    plain = build_model(TINY)
    plain.load_state_dict(model.state_dict())
    images = [torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(k)) for k in (1, 2)]

    def losses(which, *targets):
        torch.manual_seed(4)
        with torch.no_grad():
            return {k: v.item() for k, v in which.train()(images, copy.deepcopy(targets)).items()}

    targets = [target(TARGET), target(NOTHING)]
    assert losses(model, *targets) == losses(plain, *targets)
    empty = target(NOTHING, NOTHING)
    assert losses(model, targets[0], empty) == losses(plain, targets[0], empty)
    wide = target(NOTHING, box(-500, -500, 600, 600))
    assert losses(model, targets[0], wide) != losses(plain, targets[0], wide)


def test_a_gradient_of_ignored_ground_alone_is_nothing(model):
    """Everything is on an ignored box: the objectness has no example, and stays finite."""
    wide = target(TARGET, box(-500, -500, 600, 600))
    losses = model.train()([torch.rand(3, 96, 96)], [wide])
    assert all(torch.isfinite(value) for value in losses.values())


def test_wrapping_twice_and_other_models():
    model = respect_ignored(build_model(TINY))
    once = model.rpn.assign_targets_to_anchors
    assert respect_ignored(model).rpn.assign_targets_to_anchors is once
    other = torch.nn.Linear(1, 1)
    assert respect_ignored(other) is other
