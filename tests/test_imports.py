"""Syntax trees hold the house: render <- coarse <- refine <- gcnface; some libraries stay in their place."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("render", "coarse", "refine", "gcnface")
PLACES = {
    "cv2": ("gcnface/",),
    "PIL": ("gcnface/",),
    "lightning": ("gcnface/",),
    "pytorch_lightning": (),
    "jsonargparse": ("gcnface/",),
    "pytorch3d": ("render/backends/pytorch3d.py",),
    "torch_geometric": ("refine/", "gcnface/"),
    "tests": (),
    "benchmarks": (),
}
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imported(tree: ast.AST) -> set[str]:
    """First names of all imports, wherever in the file they stand."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def broken_rules(relative: str, names: set[str]) -> list[str]:
    above = PACKAGES[PACKAGES.index(relative.split("/")[0]) + 1 :]
    broken = [f"{relative} imports {name}, which stands above it" for name in above if name in names]
    for library, places in PLACES.items():
        if library in names and not relative.startswith(places):
            broken.append(f"{relative} imports {library}, allowed in {places or 'no package'}")
    return broken


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports(path):
    assert not broken_rules(path.relative_to(ROOT).as_posix(), imported(ast.parse(path.read_text())))


def test_no_relative_imports_out_of_a_package():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.ImportFrom) and node.level > 1), path


def test_the_test_itself_sees_a_breach():
    names = imported(ast.parse("def f():\n    from gcnface import api\n    import cv2.dnn\n"))
    assert len(broken_rules("render/x.py", names)) == 2
    assert not broken_rules("gcnface/x.py", names)
    assert not broken_rules("render/backends/pytorch3d.py", {"pytorch3d", "torch"})
