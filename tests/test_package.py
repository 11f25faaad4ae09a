"""What importing the package costs, and the names that it offers."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import skdpnet


def test_importing_the_package_imports_nothing_heavy():
    script = (
        "import sys, skdpnet; "
        "heavy = {'torch', 'sklearn', 'matplotlib', 'timm'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("variables", "first", "expected"),
    [
        ({}, "", "1000"),
        # What the user says, and torch that has read the variables already.
        ({"OMP_WAIT_POLICY": "active"}, "", "None"),
        ({"GOMP_SPINCOUNT": "20"}, "", "20"),
        ({}, "import torch; ", "None"),
    ],
)
def test_threads_that_wait_soon_sleep(variables, first, expected):
    script = f"{first}import os, skdpnet; print(os.environ.get('GOMP_SPINCOUNT'))"
    waiting = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    others = {key: value for key, value in os.environ.items() if key not in waiting}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**others, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == expected


@pytest.mark.parametrize("name", sorted(set(skdpnet.__all__) - {"__version__"}))
def test_every_public_name_is_there_and_documented(name):
    assert getattr(skdpnet, name).__doc__
    assert name in dir(skdpnet)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'DPNet'"):
        skdpnet.DPNet  # noqa: B018
