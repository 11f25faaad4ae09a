"""The benchmark of what is done beside the network."""

from __future__ import annotations

import json

from benchmarks.speed import host_side


def test_one_command(tmp_path, capsys):
    output = tmp_path / "host.json"
    host_side.main(["--images", "64", "--repeats", "2", "--output", str(output)])
    rows = json.loads(output.read_text(encoding="utf-8"))["rows"]
    assert len(capsys.readouterr().out.splitlines()) == len(rows) + 2
    names = [row["what"] for row in rows]
    files = [f"JPEG files, {side} px" for side in (288, 500, 2000)]
    assert names == [
        *(
            f"{kind}: {what}"
            for kind in ("arrays", *files)
            for what in ("to the network", "transform")
        ),
        "given maps: transform",
    ]
    assert all(run["seconds"] > 0 for row in rows for run in row["runs"])
