"""The table of measured settings."""

from __future__ import annotations

from benchmarks.accuracy import recipe_table


def line(seed: int, classifier: float | None, svm: tuple[float, float], **changes):
    return {
        "data": "pond", "seed": seed, "changes": changes,
        "method": "global" if classifier is None else "parts",
        "classifier": classifier, "svm": {"1": svm[0], "3": svm[1]},
        "fit_seconds": 2.0 + 2 * seed,
    }  # fmt: skip


def test_the_cells_of_the_table():
    lines = [
        line(0, 0.90, (0.80, 0.70)),
        line(1, 0.94, (0.84, 0.90)),
        line(2, 0.10, (0.10, 0.10)),
        # Better by 3 and by 1 points on the splits that both have.
        line(0, 0.93, (0.80, 0.70), beta=None, region_scales=[0.15]),
        line(1, 0.95, (0.84, 0.80), beta=None, region_scales=[0.15]),
        line(1, None, (0.74, 0.94), strides=[16, 32]),
    ]
    table = recipe_table.markdown(lines)
    assert table.startswith("pond\n")
    rows = [row.strip("| ").split(" | ") for row in table.splitlines()[4:-2]]
    assert rows[0] == [
        "defaults", "3", "64.7 ± 47.4", "", "58.0 ± 41.6", "", "58.0 ± 41.6 (C = 1)",
        "4.0",
    ]  # fmt: skip
    assert rows[1] == [
        "`beta=None, region_scales=(0.15,)`", "2", "94.0 ± 1.4", "+2.0 ± 1.4",
        "82.0 ± 2.8", "+0.0 ± 0.0", "82.0 ± 2.8 (C = 1)", "3.0",
    ]  # fmt: skip
    assert rows[2] == [
        "global descriptor, `strides=(16, 32)`", "1", "–", "", "74.0", "-10.0",
        "94.0 (C = 3)", "4.0",
    ]  # fmt: skip


def test_a_table_without_the_defaults_has_no_differences():
    table = recipe_table.markdown([line(0, 0.5, (0.5, 0.5), beta=5)])
    assert "| `beta=5` | 1 | 50.0 |  | 50.0 |  |" in table
