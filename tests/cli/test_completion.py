"""``astro-objdet completion``."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script(command, shell):
    result = command("completion", shell)
    assert result.exit_code == 0
    assert "_ASTRO_OBJDET_COMPLETE" in result.stdout
    assert "astro-objdet" in result.stdout


def test_unknown_shell(command):
    assert command("completion", "tcsh").exit_code == 2


def test_completes_options():
    environment = {
        **os.environ,
        "_ASTRO_OBJDET_COMPLETE": "bash_complete",
        "COMP_WORDS": "astro-objdet detect --st",
        "COMP_CWORD": "2",
    }
    result = subprocess.run(
        [sys.executable, "-m", "astro_objdet"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "plain,--stretch\n"
