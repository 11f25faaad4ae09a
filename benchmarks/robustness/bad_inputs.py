"""Give the package inputs that cannot be used, and tabulate what it says.

    python -m benchmarks.robustness.bad_inputs

Writes docs/bad_inputs.md.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.environment import environment
from benchmarks.robustness.bad_encoding_cases import encoding_cases
from benchmarks.robustness.bad_file_cases import file_cases, prepare
from benchmarks.robustness.bad_image_cases import Case, image_cases
from benchmarks.robustness.bad_prototype_cases import prototype_cases

__all__ = ["cases_in_a_folder", "cell", "outcome", "page"]

_PAGE = Path(__file__).parents[2] / "docs" / "bad_inputs.md"
_INTRODUCTION = """\
# Bad inputs

What skdpnet says of inputs that cannot be used, or not as they are. The page is made by
`python -m benchmarks.robustness.bad_inputs`, here with

{versions}.

An error ends what was asked for. After a warning there is a result. What is accepted
gives a result without a word.
"""
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=_PAGE)
    output = parser.parse_args().output.resolve()
    torch.set_num_threads(1)
    with cases_in_a_folder() as cases:
        rows = [(case, *outcome(case)) for case in cases]
    output.write_text(page(rows), encoding="utf-8")
    print(f"{output.name}: {len(rows)} inputs")


@contextlib.contextmanager
def cases_in_a_folder() -> Iterator[list[Case]]:
    """Change to a new folder with the files that the cases need.

    Yields
    ------
    list of Case
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        prepare()
        yield [*image_cases(), *file_cases(), *encoding_cases(), *prototype_cases()]


def outcome(case: Case) -> tuple[str, str]:
    """Give an input to the package.

    Parameters
    ----------
    case : Case

    Returns
    -------
    what : str
        "error", "warning" or "accepted".
    said : str
        The type of the error or the first warning, and its message; of a command, what
        it prints.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = case.act()
        except Exception as error:
            return "error", _plain(f"{type(error).__name__}: {error}")
    if isinstance(result, str):
        what = "accepted" if result.endswith("(status 0)") else "error"
        return what, _plain(result)
    # What libraries say of one another's future is not about the input.
    about = [w for w in caught if issubclass(w.category, (UserWarning, RuntimeWarning))]
    if not about:
        return "accepted", ""
    said = f"{about[0].category.__name__}: {about[0].message}"
    more = len({str(warning.message) for warning in about}) - 1
    return "warning", _plain(said) + (f" (and {more} more)" if more else "")


def page(rows: list[tuple[Case, str, str]]) -> str:
    """Return the page in Markdown.

    Parameters
    ----------
    rows : list of (Case, str, str)
        Cases with their `outcome`.

    Returns
    -------
    str
    """
    found = environment()
    names = ("skdpnet", "torch", "scikit-learn", "numpy")
    versions = ", ".join(f"{name} {found['versions'][name]}" for name in names)
    lines = [_INTRODUCTION.format(versions=versions)]
    for kind in dict.fromkeys(case.kind for case, _, _ in rows):
        lines += [f"## {kind}", "", "| given | | what is said |", "| --- | --- | --- |"]
        lines += [
            f"| {cell(case.given)} | {what} | {cell(said)} |"
            for case, what, said in rows
            if case.kind == kind
        ]
        lines.append("")
    return "\n".join(lines)


def _plain(said: str) -> str:
    """Return a message on one line, without what differs from run to run."""
    said = " ".join(said.split())
    for folder in (os.getcwd(), os.path.realpath(os.getcwd())):
        said = said.replace(folder, "…")
    return _ADDRESS.sub("0x…", said)


def cell(text: str) -> str:
    """Return a text as it is written in a table of Markdown.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
    """
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    main()
