"""The command line itself: help, usage errors, exit statuses and streams."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from skdpnet import __version__
from skdpnet.__main__ import main
from skdpnet.cli import _parser
from skdpnet.cli import demo as command

COMMANDS = ("fit", "predict", "explain", "report", "compare", "demo", "completion")


def run(script, **options):
    """Run a Python script in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, **options
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    output = capsys.readouterr().out
    assert f"python -m skdpnet {name}" in output
    has_json = name not in ("demo", "completion")
    assert ("--json: " in output) == has_json, "the keys of its JSON"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_a_page_of_a_manual(name, capsys, monkeypatch):
    """Within 80 columns: what it does, every option, and examples at the end."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([name, "--help"])
    output = capsys.readouterr().out
    assert [line for line in output.splitlines() if len(line) > 80] == []
    *_, examples = output.split("\n\n")
    first, *lines = examples.rstrip().splitlines()
    assert first == "examples:"
    assert all(line.startswith(f"  python -m skdpnet {name}") for line in lines)
    (commands,) = (a for a in _parser("x")._actions if isinstance(a.choices, dict))
    for action in commands.choices[name]._actions:
        assert action.help, action.dest


@pytest.mark.parametrize("name", COMMANDS[:-1])
def test_examples_are_command_lines_that_it_takes(name, capsys, monkeypatch):
    (commands,) = (a for a in _parser("x")._actions if isinstance(a.choices, dict))
    for line in commands.choices[name].epilog.splitlines()[1:]:
        words = shlex.split(line)[3:]
        assert _parser("x").parse_args(words).command == name


def test_without_a_command_help_goes_to_standard_error(capsys):
    assert main([]) == 2
    output = capsys.readouterr()
    assert not output.out
    assert all(name in output.err for name in COMMANDS)


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"skdpnet {__version__}\n"


def test_help_imports_nothing_heavy():
    script = (
        "import sys\n"
        "from skdpnet.cli import main\n"
        "try: main(['fit', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'torch', 'sklearn', 'matplotlib', 'timm'}\n"
        "sys.exit(str(heavy & set(sys.modules) or 0))"
    )
    assert run(script).stderr.strip() == "0"


def test_running_the_module_returns_the_exit_status():
    process = subprocess.run(
        [sys.executable, "-m", "skdpnet"], capture_output=True, text=True
    )
    assert process.returncode == 2
    assert process.stderr.startswith("usage: python -m skdpnet")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["fit", "images"], "required: -o/--output"),
        (["fit", "a", "-o", "b", "--test-fraction", "1"], "below 1, got '1'"),
        (["fit", "a", "-o", "b", "--test-fraction", "nan"], "below 1, got 'nan'"),
        (["fit", "a", "-o", "b", "--parts-per-class", "0"], "at least 1, got '0'"),
        (["fit", "a", "-o", "b", "--image-size", "2.5"], "whole number of at least 8"),
        (["fit", "a", "-o", "b", "--seed", "4294967296"], "at most 4294967295"),
        (["fit", "a", "-o", "b", "--assignment", "-1"], "--assignment: must be a n"),
        (["fit", "a", "-o", "b", "--assignment", "inf"], "got 'inf'"),
        (["fit", "a", "-o", "b", "--image", "64"], "unrecognized arguments: --image"),
        (["predict", "model"], "required: IMAGE"),
        (["predict", "model", "-a.jpg"], "required: IMAGE"),
        (["explain", "model", "a.jpg"], "required: -o/--output"),
    ],
)
def test_usage_errors_have_status_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    output = capsys.readouterr()
    assert message in output.err
    assert not output.out


def test_ctrl_c_ends_with_130_and_no_traceback(monkeypatch, capsys):
    def interrupted(_):
        # Python raises this for Ctrl-C. A real signal would not do here, because shells
        # let background jobs ignore it.
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_run", interrupted)
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("length", [10, 10**6], ids=["buffered", "longer"])
def test_a_closed_pipe_ends_it_quietly(length):
    script = (
        "import sys\n"
        "from skdpnet.cli import demo, main\n"
        f"demo._run = lambda _: print('x' * {length})\n"
        "sys.stdin.read()\n"
        "sys.exit(main(['demo']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    with process:
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.skipif(
    not os.path.exists("/dev/full"), reason="this system has no /dev/full"
)
def test_a_full_disk_is_reported_once():
    script = (
        "import sys\n"
        "from skdpnet.cli import demo, main\n"
        "demo._run = lambda _: print('x')\n"
        "sys.exit(main(['demo']))"
    )
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONUNBUFFERED": ""},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert process.stderr == "error: No space left on device\n"
    assert process.returncode == 1


def test_characters_that_the_terminal_cannot_show_are_escaped():
    script = (
        "from skdpnet.cli import demo, main\n"
        "demo._run = lambda _: print('k\\u0101k\\u0101p\\u014d \\udcff')\n"
        "main(['demo'])"
    )
    process = run(script, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert process.stdout == "k\\u0101k\\u0101p\\u014d \\udcff\n"
    assert not process.stderr


def test_a_warning_takes_one_line(monkeypatch, capsys, tmp_path):
    import warnings

    def warned(_):
        warnings.simplefilter("always")
        warnings.warn("the cache entry\nis damaged", RuntimeWarning, stacklevel=1)

    before = warnings.showwarning
    monkeypatch.setattr(command, "_run", warned)
    assert main(["demo"]) == 0
    assert capsys.readouterr().err == "warning: the cache entry is damaged\n"
    assert warnings.showwarning is before


def test_help_and_unknown_commands(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    assert "demo" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["dem"])
    assert end.value.code == 2
    assert "invalid choice: 'dem'" in capsys.readouterr().err
