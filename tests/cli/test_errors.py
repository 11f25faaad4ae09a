"""Which exceptions become messages for the user, and which keep their traceback."""

from __future__ import annotations

import numpy as np
import pytest

from skdpnet.__main__ import main
from skdpnet.cli import demo as command
from skdpnet.cli.errors import CommandError, as_message
from skdpnet.parts.layout import stack_parts


def caught(call, *args):
    """Return the exception that a call raises."""
    with pytest.raises(Exception) as info:  # noqa: PT011
        call(*args)
    return info.value


def failing(error):
    """Make a command that raises an error."""

    def fail(_):
        raise error

    return fail


def test_an_error_is_one_line_with_status_1(monkeypatch, capsys):
    monkeypatch.setattr(command, "_run", failing(CommandError("no\nsuch thing")))
    assert main(["demo"]) == 1
    output = capsys.readouterr()
    assert output.err == "error: no such thing\n"
    assert not output.out


@pytest.mark.parametrize("error", [KeyError("a"), ValueError("b"), TypeError("c")])
def test_a_bug_keeps_its_traceback(monkeypatch, error):
    monkeypatch.setattr(command, "_run", failing(error))
    with pytest.raises(type(error)):
        main(["demo"])


def test_errors_of_skdpnet_are_messages_and_those_of_numpy_are_bugs():
    from skdpnet.datasets import load_image_folder
    from skdpnet.utils.devices import resolve_device

    error = caught(load_image_folder, "no such folder")
    assert as_message(error) == str(error)
    assert as_message(caught(resolve_device, "nonsense")).startswith("device=")
    # NumPy raises both, on lines of skdpnet that have no raise statement.
    for bug in (
        caught(stack_parts, []),
        caught(stack_parts, [np.zeros((2, 3)), np.zeros((2, 3, 4))]),
    ):
        assert isinstance(bug, ValueError)
        assert as_message(bug) is None


def test_errors_of_the_operating_system_name_the_file(tmp_path):
    message = as_message(caught(open, tmp_path / "no such file"))
    assert message == f"{tmp_path / 'no such file'}: No such file or directory"
    assert as_message(OSError("no number")) == "no number"


def test_images_are_named_without_their_item_number():
    from skdpnet.images.collection import as_images

    error = caught(as_images(["here.jpg", "it's ('a'): b.jpg"]).take([1]).check)
    assert str(error).startswith("item 1 (")
    assert as_message(error).startswith("'it's ('a'): b.jpg': there is no such file")
