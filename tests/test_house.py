"""How the package is built: which folder knows which, and what stays private."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "skdpnet"
FILES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 400

# Each folder may import those before it, and itself: an image's way through the
# package. `utils`, `exceptions` and `storage` serve all.
ORDER = [
    *("exceptions", "utils", "storage", "images", "regions", "losses"),
    *("backbones", "features", "persistence", "base", "training", "explanations"),
    *(
        "encodings",
        "parts",
        "prototypes",
        "open_set",
        "metrics",
        "display",
        "reporting",
        "datasets",
        "cli",
    ),
]
# The rooms that alone may import a library.
ALONE = {
    "skorch": ("training",),
    "timm": ("backbones",),
    "torchvision": ("backbones",),
    "matplotlib": ("display", "cli"),
    "jinja2": ("reporting",),
}


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path, *, deferred: bool) -> Iterator[str]:
    """Modules that a file imports; with `deferred`, inside functions too."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if deferred else top_level(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else str(node.module)


def top_level(tree: ast.Module) -> Iterator[ast.AST]:
    """Statements that run when the module is imported."""
    for node in tree.body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            continue
        yield from ast.walk(node)


MODULES = {module_name(file): file for file in FILES}


def folder_of(module: str) -> str | None:
    """The folder or file right below the package that a module belongs to."""
    parts = module.split(".")
    return parts[1] if parts[0] == "skdpnet" and len(parts) > 1 else None


def test_no_module_imports_itself_by_a_detour():
    graph = {
        name: {other for other in imports(file, deferred=False) if other in MODULES}
        for name, file in MODULES.items()
    }
    # Packages are imported with each of their modules; what they re-export is theirs.
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_folder_knows_only_folders_to_its_left(file):
    folder = folder_of(module_name(file))
    if folder in (None, "__main__"):
        return
    for other in imports(file, deferred=True):
        known = folder_of(other)
        if known is not None:
            assert ORDER.index(known) <= ORDER.index(folder), f"imports {other}"


@pytest.mark.parametrize("library", ALONE)
def test_a_library_has_its_rooms(library):
    for file in FILES:
        if any(
            name.partition(".")[0] == library for name in imports(file, deferred=True)
        ):
            place = file.relative_to(PACKAGE).as_posix()
            assert place.startswith(ALONE[library]), f"{place} imports {library}"


@pytest.mark.parametrize("folder", ["explanations", "metrics", "display", "reporting"])
def test_nothing_private_of_an_estimator_is_used(folder):
    """Only `self` and `cls` have attributes that begin with an underscore here."""
    for file in sorted((PACKAGE / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Attribute):
                continue
            name, owner = node.attr, node.value
            private = name.startswith("_") and not name.startswith("__")
            own = isinstance(owner, ast.Name) and owner.id in ("self", "cls")
            assert not private or own, f"{file.name}:{node.lineno} uses .{name}"


def test_no_file_is_long():
    folders = [PACKAGE, ROOT / "tests", ROOT / "benchmarks"]
    lines = {
        str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines())
        for folder in folders
        for file in folder.rglob("*.py")
    }
    assert {name: n for name, n in lines.items() if n > MOST_LINES} == {}


def test_no_folder_hides_a_public_function():
    import skdpnet

    functions = {
        name
        for name in skdpnet.__all__
        if callable(getattr(skdpnet, name)) and name.islower()
    }
    assert functions.isdisjoint(path.stem for path in PACKAGE.iterdir())


def test_tests_mirror_the_package():
    """Each folder of tests is one of the package, or says what it is about."""
    besides = {"benchmarks", "data", "docs"}
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    packages = {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    assert folders - {"__pycache__"} <= packages | besides
