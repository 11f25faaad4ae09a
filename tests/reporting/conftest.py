"""The report that most tests read."""

from __future__ import annotations

import pytest

from tests.reporting.pages import report_of_odd_names


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """The report of a model whose classes have odd names, some of them wrong."""
    return report_of_odd_names(tmp_path_factory.mktemp("report"))
