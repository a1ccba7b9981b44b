"""Syntax trees: whoever draws, draws through a camera, which says how barycentric weights run; none names a backend."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCREEN = "rasterize_screen"
OUTSIDE = ("coarse", "refine", "gcnface", "benchmarks")
FILES = sorted(path for package in ("render", *OUTSIDE) for path in (ROOT / package).rglob("*.py"))
HIDDEN = ("render.backends.torch", "render.backends.pytorch3d")


def breaches(tree: ast.AST, inside: bool) -> list[str]:
    """What in a file draws by a rule of its own; `inside` is whether it lies in render/."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = [getattr(node, "module", None) or ""]
            names = [f"{start}.{alias.name}".strip(".") for start in module for alias in node.names]
            found += [name for name in names if f"{name}.".startswith(tuple(f"{hidden}." for hidden in HIDDEN))]
            found += [name for name in names if name.endswith(f".{SCREEN}") and not inside]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == SCREEN:
            told = any(keyword.arg == "perspective_correct" for keyword in node.keywords)
            found += [] if inside and told else [ast.unparse(node)]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_drawn_through_a_camera(path):
    assert not breaches(ast.parse(path.read_text()), path.relative_to(ROOT).parts[0] == "render")


def test_the_test_itself_sees_a_breach():
    call = ast.parse("rasterize_screen(a, b, c, perspective_correct=True)")
    assert breaches(call, inside=False)
    assert not breaches(call, inside=True)
    assert breaches(ast.parse("rasterize.rasterize_screen(a, b, c)"), inside=True)
    assert breaches(ast.parse("from render.rasterize import rasterize_screen"), inside=False)
    assert breaches(ast.parse("from render.backends.torch import nearest_depth"), inside=True)
    assert breaches(ast.parse("from render.backends import torch as plain"), inside=True)
    assert breaches(ast.parse("import render.backends.pytorch3d"), inside=False)
    assert not breaches(ast.parse("from render.rasterize import rasterize\nfrom render import backends"), inside=False)
