"""Syntax trees hold the house: render <- coarse <- refine <- gcnface; some libraries stay in their place."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
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


def module_name(relative: str) -> str:
    return relative.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below, those under ``if TYPE_CHECKING`` left out."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield child
            yield from executed(child)


def imported_modules(tree: ast.AST, known: set[str]) -> set[str]:
    """The modules of the house that a file imports, at its top or when a function is called."""
    found = set()
    for node in executed(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= below & known or {node.module}
    return found & known


def rooms(imports: dict[str, set[str]]) -> dict[str, str]:
    """Where each module stands: itself at the top and where it draws in nothing but its kind, else its wing."""
    plain: set[str] = set()
    while more := {m for m in imports if m not in plain and all(_plain(m, other, plain) for other in imports[m])}:
        plain |= more
    return {m: m if m in plain or m.count(".") < 2 else ".".join(m.split(".")[:2]) for m in imports}


def _plain(module: str, other: str, plain: set[str]) -> bool:
    """Whether an import of `other` leaves a module plain: it is so itself, and stands beside it or at the top."""
    beside = other.rsplit(".", 1)[0] == module.rsplit(".", 1)[0]
    return not other.startswith("gcnface") or (other in plain and (beside or other.count(".") < 2))


def circle(sources: dict[str, str]) -> list[str]:
    """The rooms of a circle of imports, in order; an empty list where there is none. Sources by relative path."""
    known = {module_name(path) for path in sources}
    imports = {module_name(path): imported_modules(ast.parse(text), known) for path, text in sources.items()}
    room = rooms(imports)
    graph: dict[str, set[str]] = {}
    for module, others in imports.items():
        graph.setdefault(room[module], set()).update({room[other] for other in others} - {room[module]})
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_circle_of_imports_across_folders():
    """A wing with its inner folders is one room; what functions import counts."""
    assert circle({path.relative_to(ROOT).as_posix(): path.read_text() for path in FILES}) == []


def test_the_test_itself_sees_a_circle():
    files = {
        "gcnface/a/x.py": "def f():\n    from gcnface.b import y\n",
        "gcnface/b/y.py": "import gcnface.c",
        "gcnface/c.py": "from gcnface.a.x import f",
    }
    assert set(circle(files)) == {"gcnface.a", "gcnface.b", "gcnface.c"}
    assert circle(files | {"gcnface/c.py": "if TYPE_CHECKING:\n    from gcnface.a.x import f"}) == []
    assert circle({"gcnface/a/x.py": "import gcnface.a.inner.z", "gcnface/a/inner/z.py": "import gcnface.a.x"}) == []
