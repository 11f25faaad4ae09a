"""`completion`: shells take the scripts, and complete commands, options and methods."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from skdpnet.__main__ import main
from skdpnet.cli.methods import FITTED

SHELLS = ("bash", "zsh", "fish")


@pytest.fixture
def script(capsys, tmp_path):
    """Write the script of a shell, and return its path."""
    pytest.importorskip("shtab", reason="shtab is not installed")

    def write(shell):
        assert main(["completion", shell]) == 0
        path = tmp_path / shell
        path.write_text(capsys.readouterr().out)
        return str(path)

    return write


def output_of(*words):
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    process = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert process.returncode == 0 and not process.stderr, process.stderr
    return process.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_takes_the_script(shell, script):
    output_of(shell, "-n", script(shell))


@pytest.mark.parametrize(
    "typed, completed",
    [
        (["comp"], {"compare", "completion"}),
        (["fit", "--meth"], {"--method"}),
        (["fit", "--method", ""], {*FITTED}),
    ],
)
def test_bash_completes(typed, completed, script):
    *_, previous, last = ["skdpnet", *typed]
    words = " ".join(f"'{word}'" for word in ["skdpnet", *typed])
    found = output_of(
        "bash",
        "-c",
        f"source '{script('bash')}'; COMP_WORDS=({words}); COMP_CWORD={len(typed)};"
        f"_shtab_skdpnet skdpnet '{last}' '{previous}'; echo ${{COMPREPLY[@]}}",
    )
    assert set(found.split()) == completed


def test_fish_completes(script):
    command = f"source '{script('fish')}'; complete -C 'skdpnet fit a --method proto'"
    lines = output_of("fish", "-c", command).splitlines()
    names = {line.split("\t")[0] for line in lines}
    assert names == {name for name in FITTED if name.startswith("proto")}


def test_without_shtab_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 1
    assert "pip install 'skdpnet[completion]'" in capsys.readouterr().err


def test_other_shells_are_rejected(capsys):
    with pytest.raises(SystemExit) as end:
        main(["completion", "cmd"])
    assert end.value.code == 2
    assert "invalid choice: 'cmd'" in capsys.readouterr().err
