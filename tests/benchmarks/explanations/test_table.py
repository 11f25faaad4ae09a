"""The table of measured explanations."""

from __future__ import annotations

from benchmarks.explanations import table


def row(seed: int, method: str, constraints: str = "", changes=None, **measures):
    return {
        "data": "pond", "image_size": 64, "n_train": 6, "n_test": 4, "n_perturbed": 2,
        "n_steps": 5, "seed": seed, "method": method, "constraints": constraints,
        "changes": changes or {},
        "measures": {
            name.replace("_", " "): {"value": value, "chance": chance}
            for name, (value, chance) in measures.items()
        },
    }  # fmt: skip


def test_the_cells_of_the_table():
    rows = [
        row(0, "global", accuracy=(0.70, 0.1), deletion=(-0.04, 0.3)),
        row(0, "DP-Net", "without", accuracy=(0.80, 0.1), keep=(2, 9)),
        row(1, "DP-Net", "without", accuracy=(0.90, 0.1), keep=(3, 10)),
        row(0, "DP-Net", "CS + A", {"specificity_weight": 0.1, "beta": 9},
            accuracy=(0.5, 0.1), closest_pair=(0.986, 0.3)),
    ]  # fmt: skip
    caption, _, head, _, *cells = table.markdown(rows).split("\n")
    assert caption.startswith("pond: 6 training and 4 test images, 64 × 64 pixels")
    names = [name.strip() for name in head.split("|")[1:-1]]
    assert names == [
        "model", "accuracy, % ↑", "deletion, % ↓", "parts that keep ↓",
        "largest cosine ↓",
    ]  # fmt: skip
    assert cells[0] == "| global | 70.0 (10.0) | -4.0 (30.0) | – | – |"
    assert cells[1] == (
        "| DP-Net, without constraints | 85.0 ± 7.1 (10.0) | – | 2.5 ± 0.7 (9.5) | – |"
    )
    assert cells[2] == (
        "| DP-Net, CS + A, `beta=9` | 50.0 (10.0) | – | – | 0.99 (0.30) |"
    )


def test_a_table_for_each_data_set():
    rows = [row(0, "global", accuracy=(0.5, 0.1)) for _ in range(2)]
    rows[1]["data"] = "lake"
    text = table.markdown(rows)
    assert text.index("pond: ") < text.index("lake: ")
    assert text.count("| global | 50.0 (10.0) |") == 2


def test_other_columns_and_measures_without_chance():
    one = row(0, "DP-Net", "A", accuracy=(0.5, 0.1))
    del one["n_steps"]
    one["measures"] |= {"keep": {"value": 3}, "assignment": {"value": 1.25}}
    columns = {"assignment": ("A", 1, 1), "keep": ("keep", 1, 0)}
    caption, _, head, _, cells, _, note = table.markdown([one], columns, "note").split(
        "\n"
    )
    assert caption.endswith("64 × 64 pixels; 2 of the test images changed.")
    assert head == "| model | A | keep |" and cells == "| DP-Net, A | 1.2 | 3 |"
    assert note == "note"
