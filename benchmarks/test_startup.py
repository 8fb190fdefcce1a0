"""How long a shell waits before anything happens."""

import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.benchmark(group="startup")
ROUNDS = 7


@pytest.mark.parametrize(
    ("what", "arguments"),
    [
        ("astro-objdet --help", ["astro-objdet", "--help"]),
        ("import astro_objdet", ["python", "-c", "import astro_objdet"]),
    ],
)
def test_start_up(benchmark, what, arguments, report, tmp_path):
    program = shutil.which(arguments[0], path=Path(sys.executable).parent)

    def start():
        # away from the checkout, so that the package is imported as it is installed
        subprocess.run(
            [program, *arguments[1:]],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=tmp_path,
        )

    benchmark.pedantic(start, rounds=ROUNDS, warmup_rounds=1)
    seconds = statistics.median(benchmark.stats.stats.data)
    report(
        what,
        "< 0.5 s",
        f"{seconds:.2f} s ({benchmark.stats.stats.min:.2f} to {benchmark.stats.stats.max:.2f})",
    )
    assert seconds < 0.5
