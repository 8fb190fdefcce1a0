"""The group of commands: help, start-up, and errors as exit codes."""

import errno
import os
import subprocess
import sys

import click
import pytest

from astro_objdet import errors
from astro_objdet.cli import main as cli


def walk(group, path=()):
    """All commands below a group, with their paths."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from walk(command, (*path, name))


ALL_COMMANDS = dict(walk(cli.main))


def test_commands():
    assert [path[0] for path in ALL_COMMANDS if len(path) == 1] == list(cli.COMMANDS)
    assert ("weights", "convert") in ALL_COMMANDS


@pytest.mark.parametrize("path", ALL_COMMANDS, ids=" ".join)
def test_every_help_has_an_example(command, path):
    result = command(*path, "--help")
    assert result.exit_code == 0
    assert f"astro-objdet {path[0]}" in result.stdout.split("Example", 1)[1]


def test_the_main_help_has_an_example(command):
    result = command("-h")
    assert result.exit_code == 0
    assert "Example:\n    astro-objdet detect" in result.stdout
    assert "Exit codes: 0 done" in result.stdout


def test_version(command):
    result = command("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("astro-objdet, version ")


@pytest.mark.parametrize(
    "arguments", [["detcet"], ["detect"], ["detect", "--threshold", "2", "a.fits"]]
)
def test_wrong_usage(command, arguments):
    result = command(*arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("arguments", ["--help", "detect --help", "completion bash"])
def test_help_loads_no_library(arguments):
    code = (
        "import sys\n"
        "from astro_objdet.cli.main import run\n"
        f"sys.argv[1:] = {arguments.split()}\n"
        "try:\n    run()\n"
        "except SystemExit as stop:\n"
        "    heavy = {'torch', 'astropy', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "    sys.exit(stop.code or sorted(heavy) or 0)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_help_is_quick():
    # Half a second is promised. Of the processor's time: a machine that runs tests may be busy.
    times = []
    for _ in range(3):
        start = os.times()
        subprocess.run(
            [sys.executable, "-m", "astro_objdet", "--help"],
            check=True,
            capture_output=True,
        )
        end = os.times()
        times.append(sum(end[2:4]) - sum(start[2:4]))  # user and system time of children
    assert min(times) < 0.5


@pytest.fixture
def failing(command, monkeypatch):
    """Run a command whose body raises an error."""

    def run(error):
        @click.command()
        def doctor():
            raise error

        monkeypatch.setattr("astro_objdet.cli.doctor.doctor", doctor)
        return command("doctor")

    return run


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (errors.InputError("is empty", "a.fits", 1), 3, "a.fits[1]: is empty"),
        (errors.OutputExistsError("exists", "out"), 3, "out: exists"),
        (errors.NetworkError("hub not\n reached"), 5, "hub not reached"),
        (errors.ModelError("w.pth: a pickle"), 6, "w.pth: a pickle"),
        (errors.ResourceError("disk full"), 7, "disk full"),
        (MemoryError(), 7, "memory ran out; try a smaller --batch-size"),
        (OSError(errno.ENOSPC, "x", "out"), 7, "out: no space left on the disk"),
        (errors.AstroObjdetError("odd"), 1, "odd"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_foreseen_errors_are_one_line(failing, error, code, message):
    result = failing(error)
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.startswith(f"astro-objdet: error: {message}")
    assert result.stderr.count("\n") == 1


def test_interrupt(failing):
    result = failing(KeyboardInterrupt())
    assert result.exit_code == 130
    assert "no half-written file is left behind" in result.stderr


def test_a_bug_shows_its_traceback_and_how_to_report():
    code = (
        "import click, astro_objdet.cli.doctor as module\n"
        "from astro_objdet.cli.main import run\n"
        "module.doctor = click.Command('doctor', callback=lambda: 1 / 0)\n"
        "import sys; sys.argv[1:] = ['doctor']; run()\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "ZeroDivisionError" in result.stderr
    assert "this is a bug in astro_objdet" in result.stderr.splitlines()[-1]
