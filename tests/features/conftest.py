"""What tests of cached maps share."""

from __future__ import annotations

import pytest

from skdpnet.features import extraction


@pytest.fixture
def settings(tmp_path):
    return {"image_size": 32, "memory": tmp_path / "maps", "precision": "float32"}


@pytest.fixture
def n_computed(monkeypatch) -> list[int]:
    """Collect the numbers of images whose maps were computed together."""
    start, sizes = extraction.Extractor._start, []

    def counted(self, pixels, to_host):
        sizes.append(len(pixels))
        return start(self, pixels, to_host)

    monkeypatch.setattr(extraction.Extractor, "_start", counted)
    return sizes
