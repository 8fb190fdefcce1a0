"""Two processes, as torchrun starts them, on the CPU."""

import os
import re
import subprocess
import sys

import pytest
import torch
import training_fixture
from training_fixture import write_archive

from astro_objdet import Detector
from astro_objdet.engine.training.batches import Batches
from astro_objdet.engine.training.distributed import Processes, join_processes
from astro_objdet.errors import InputError


class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 100

    def __getitem__(self, index):
        return torch.tensor(float(index)), {"number": torch.tensor(index)}


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_processes_share_what_one_would_see(count):
    alone = Batches(Numbers(), 6, Processes(), str)
    parts = [Batches(Numbers(), 6, Processes(rank, count), str) for rank in range(count)]
    for step in (1, 2, 20):
        numbers = [number for part in parts for number in part.numbers(step)]
        assert numbers == alone.numbers(step)
    cpu = torch.device("cpu")
    read = [list(part.read(4, 5, cpu, workers=0)) for part in parts]
    assert [int(t["number"]) for part in read for t in part[0][2]] == alone.numbers(4)
    assert [step for step, *_ in read[0]] == [4, 5]
    assert alone.names(1) == "0, 1, 2, 3, 4, 5"


def test_a_batch_that_cannot_be_shared():
    with pytest.raises(InputError, match="batch_size must be a multiple of the 2 processes, got 3"):
        Processes(0, 2).share(3)


def test_one_process_needs_no_group(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with join_processes("cpu") as (processes, device):
        assert (processes.rank, processes.count, device.type) == (0, 1, "cpu")
        assert processes.any(True, False) == (True, False)
        assert processes.gather(3) == [3]
        assert processes.tell("a") == "a"
    assert not torch.distributed.is_initialized()


PROGRAM = """
import runpy, sys
import torch
from astro_objdet.engine.training import Training
from astro_objdet.engine.training.distributed import join_processes

with join_processes("cpu") as (processes, device):
    rank = processes.rank
    if processes.any(rank == 1, False) != (True, False):
        sys.exit("any")
    values = [torch.full((2, 3), float(rank)), torch.tensor(4.0 * rank)]
    processes.average(values)
    if not (values[0].eq(0.5).all() and values[1] == 2):
        sys.exit("average")
    if processes.gather(rank) != [0, 1] or processes.tell(f"of {rank}") != "of 0":
        sys.exit("gather or tell")
    # gradients are the mean over the processes, and so all keep the same weights
    run = Training.run
    def checked(self):
        finished = run(self)
        sums = [v.double().sum().item() for v in self.model.state_dict().values()]
        if len({tuple(other) for other in processes.gather(sums)}) != 1:
            sys.exit("weights differ")
        return finished
    Training.run = checked
    # a run that is stopped after step 5 and goes on
    fixture, archive, folder = sys.argv[1:]
    for arguments in (["--at", "5", "--signal", "15"], ["--resume"]):
        sys.argv = [fixture, archive, folder, *arguments]
        try:
            runpy.run_path(fixture, run_name="__main__")
        except SystemExit as end:
            print("rank", rank, "ended with", end.code, flush=True)
"""


def test_two_processes_train_one_model(tmp_path):
    """They share the images, one writes, and a stop is agreed on and survived."""
    archive = write_archive(tmp_path / "a.h5")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    arguments = [program, training_fixture.__file__, archive, tmp_path / "run"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nnodes=1"]
    done = subprocess.run(
        [*command, "--nproc-per-node=2", *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ends = sorted(re.findall(r"rank \d ended with \d+", done.stdout))
    assert ends == [f"rank {rank} ended with {code}" for rank in (0, 1) for code in (0, 130)]
    assert done.stdout.count("notice: going on after step 5") == 1
    assert Detector.from_pretrained(tmp_path / "run" / "model.safetensors").name == "deepcee"
    log = (tmp_path / "run" / "log.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in log] == ["step", *"123456"]
