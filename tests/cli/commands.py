"""How the tests run commands of the command line."""

from __future__ import annotations

import json

from skdpnet.__main__ import main

# Parameters of small models that are fitted quickly.
SETTINGS = {
    "image_size": 64,
    "n_parts_per_class": 4,
    "max_epochs": 2,
    "random_state": 0,
}


def run_json(arguments, capsys):
    """Run a command that succeeds, and return its JSON."""
    assert main([*map(str, arguments), "--json", "--quiet"]) == 0
    output = capsys.readouterr()
    assert not output.err
    return json.loads(output.out)


def error_of(arguments, capsys):
    """Run a command that fails, and return its message."""
    assert main([*map(str, arguments), "--quiet"]) == 1
    output = capsys.readouterr()
    assert not output.out
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1
    return output.err
