"""Measurements as lines of JSON."""

from __future__ import annotations

import pytest

from benchmarks import records


def test_a_torn_line_is_dropped(tmp_path):
    file = tmp_path / "new" / "some.jsonl"
    assert records.read_lines(file) == records.resume(file, lambda line: {}) == []
    for seed in (0, 1):
        records.append_line(file, {"seed": seed, "settings": {}})
    whole = file.read_bytes()
    # Killed in the middle of a line, and even of a letter.
    file.write_bytes(whole + '{"seed": 2, "data": "ä'.encode()[:-1])
    assert [line["seed"] for line in records.read_lines(file)] == [0, 1]
    assert [line["seed"] for line in records.resume(file, lambda line: {})] == [0, 1]
    assert file.read_bytes() == whole
    records.append_line(file, {"seed": 3})
    assert [line["seed"] for line in records.read_lines(file)] == [0, 1, 3]


def test_a_line_torn_before_the_first_end(tmp_path):
    file = tmp_path / "some.jsonl"
    file.write_text('{"seed"')
    assert records.resume(file, lambda line: {}) == []
    assert file.read_bytes() == b""


@pytest.mark.parametrize("text", ["nonsense", "3"])
def test_a_broken_line_is_named(tmp_path, text):
    file = tmp_path / "some.jsonl"
    file.write_text('{"seed": 0}\n' + text + '\n{"seed": 1}\n')
    with pytest.raises(SystemExit, match="line 2 of .*some.jsonl is no JSON object"):
        records.read_lines(file)


def test_a_line_is_found_whatever_its_settings_order_and_kind():
    lines = [{"seed": 0, "changes": {"a": [1, 2], "b": 3.0}, "accuracy": 1}]
    assert records.has_line(lines, {"seed": 0, "changes": {"b": 3, "a": (1, 2)}})
    assert not records.has_line(lines, {"seed": 1, "changes": {"b": 3, "a": (1, 2)}})
    assert not records.has_line(lines, {"seed": 0, "changes": {"b": 3}})
