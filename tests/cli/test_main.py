"""The command line itself: help, exit codes, streams, which errors are sentences."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from skdpnet import __version__
from skdpnet.__main__ import main
from skdpnet.base import map_estimator as base
from skdpnet.cli import demo as command
from skdpnet.cli.errors import CommandError, as_sentence

COMMANDS = ("fit", "predict", "explain", "report", "demo")


def run(script, **options):
    """Run a script of this package's Python in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, **options
    )


def caught(call, *args):
    with pytest.raises(Exception) as info:  # noqa: PT011
        call(*args)
    return info.value


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    told = capsys.readouterr().out
    assert f"python -m skdpnet {name}" in told
    assert ("--json: " in told) == (name != "demo"), "its keys are documented"


def test_without_a_command_help_goes_to_standard_error(capsys):
    assert main([]) == 2
    told = capsys.readouterr()
    assert not told.out
    assert all(name in told.err for name in COMMANDS)


def test_the_version_is_the_package_s(capsys):
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


def test_as_a_module_it_hands_its_status_to_the_shell():
    ended = subprocess.run(
        [sys.executable, "-m", "skdpnet"], capture_output=True, text=True
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("usage: python -m skdpnet")


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
def test_wrong_usage_is_told_with_status_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    told = capsys.readouterr()
    assert message in told.err
    assert not told.out


def test_ctrl_c_ends_with_130_and_no_traceback(monkeypatch, capsys):
    def interrupted(_):
        # As Python makes of Ctrl-C, but where a shell lets background jobs ignore it.
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_run", interrupted)
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("length", [10, 10**6], ids=["buffered", "longer"])
def test_a_reader_that_goes_away_ends_it_quietly(length):
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


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_is_told_once():
    script = (
        "import sys\n"
        "from skdpnet.cli import demo, main\n"
        "demo._run = lambda _: print('x')\n"
        "sys.exit(main(['demo']))"
    )
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONUNBUFFERED": ""},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert ended.stderr == "error: No space left on device\n"
    assert ended.returncode == 1


def test_names_that_the_terminal_cannot_show_are_spelled():
    script = (
        "from skdpnet.cli import demo, main\n"
        "demo._run = lambda _: print('k\\u0101k\\u0101p\\u014d \\udcff')\n"
        "main(['demo'])"
    )
    ended = run(script, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert ended.stdout == "k\\u0101k\\u0101p\\u014d \\udcff\n"
    assert not ended.stderr


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


# -------------------------------------------------------------------- errors and bugs


def failing(error):
    def fail(_):
        raise error

    return fail


def test_an_error_is_one_line_with_status_1(monkeypatch, capsys):
    monkeypatch.setattr(command, "_run", failing(CommandError("no\nsuch thing")))
    assert main(["demo"]) == 1
    told = capsys.readouterr()
    assert told.err == "error: no such thing\n"
    assert not told.out


@pytest.mark.parametrize("error", [KeyError("a"), ValueError("b"), TypeError("c")])
def test_a_bug_keeps_its_traceback(monkeypatch, error):
    monkeypatch.setattr(command, "_run", failing(error))
    with pytest.raises(type(error)):
        main(["demo"])


def test_what_skdpnet_says_is_a_sentence_and_what_numpy_says_is_a_bug():
    from skdpnet.datasets import load_image_folder
    from skdpnet.features.feature_maps import resolve_device

    told = caught(load_image_folder, "no such folder")
    assert as_sentence(told) == str(told)
    assert as_sentence(caught(resolve_device, "nonsense")).startswith("device=")
    # Both go wrong within skdpnet, on lines that raise nothing themselves.
    for bug in (
        caught(base.stack_parts, []),
        caught(base.stack_parts, [np.zeros((2, 3)), np.zeros((2, 3, 4))]),
    ):
        assert isinstance(bug, ValueError)
        assert as_sentence(bug) is None


def test_what_the_system_says_names_the_file(tmp_path):
    sentence = as_sentence(caught(open, tmp_path / "no such file"))
    assert sentence == f"{tmp_path / 'no such file'}: No such file or directory"
    assert as_sentence(OSError("no number")) == "no number"


def test_images_are_named_without_their_number():
    from skdpnet.images.collection import as_images

    error = caught(as_images(["here.jpg", "it's ('a'): b.jpg"]).take([1]).check)
    assert str(error).startswith("item 1 (")
    assert as_sentence(error).startswith("'it's ('a'): b.jpg': there is no such file")


def test_json_survives_every_name(capsys):
    import argparse

    from skdpnet.cli.io import show

    document = {"path": "k\u0101k\u0101p\u014d\n\udcff \"'"}
    show(argparse.Namespace(json=True), document, ["not this"])
    assert json.loads(capsys.readouterr().out) == document
