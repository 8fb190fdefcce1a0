"""Where the time of a detection goes."""

import statistics

import pytest

pytestmark = pytest.mark.benchmark(group="detect")
ROUNDS = 9


def test_share_of_the_forward_pass(benchmark, detector, field, monkeypatch, stopwatch, report):
    forward, passes = stopwatch(detector.model.forward)
    monkeypatch.setattr(detector.model, "forward", forward)
    inside = []

    def detect():
        passes.clear()
        found = detector.detect(field.image)
        inside.append(sum(passes))
        return found

    benchmark.pedantic(detect, rounds=ROUNDS, warmup_rounds=2)
    totals = benchmark.stats.stats.data
    shares = [a / b for a, b in zip(inside[-ROUNDS:], totals, strict=True)]
    share = statistics.median(shares)
    report(
        f"2000 x 2000 CCDData, grid {field.grid_shape[1]} px: share of the forward pass",
        ">= 0.90",
        f"{share:.3f} ({min(shares):.3f} to {max(shares):.3f}) of "
        f"{statistics.median(totals):.2f} s, {len(passes)} tiles",
    )
    assert share >= 0.90
