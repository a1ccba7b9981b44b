"""The choice of a rasteriser: for the process, for a block, for processes that are started later."""

import inspect
import os
import subprocess
import sys
from importlib import import_module
from types import ModuleType

import pytest
import torch

import render
from render.backends import VARIABLE
from render.baking import texel_map
from render.camera import pixel_camera
from render.errors import MissingPackageError
from render.fragments import Fragments
from render.rasterize import rasterize
from render.visibility import depth_buffer, vertex_visibility

TRIANGLE = torch.tensor([[0, 1, 2]])
SCREEN = torch.tensor([[[1.0, 1, 2], [1, 7, 2], [7, 1, 2]]])
CAMERA = pixel_camera((8, 8))


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")  # what a test chooses is undone after it


@pytest.fixture
def no_pytorch3d(monkeypatch):
    for name in ("pytorch3d", "pytorch3d.renderer.mesh.rasterize_meshes"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "render.backends.pytorch3d", raising=False)


@pytest.fixture
def stand_in(monkeypatch):
    """A library in PyTorch3D's place that sees nothing anywhere."""
    for name in ("pytorch3d", "pytorch3d.renderer", "pytorch3d.renderer.mesh"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    rasterizer, structures = ModuleType("rasterize_meshes"), ModuleType("structures")
    structures.Meshes = lambda verts, faces: verts

    def rasterize_meshes(meshes, image_size, **settings):
        empty = torch.full((len(meshes), *image_size, 1), -1)
        return empty, empty.float(), empty[..., None].expand(-1, -1, -1, -1, 3).float(), empty.float()

    rasterizer.rasterize_meshes = rasterize_meshes
    monkeypatch.setitem(sys.modules, "pytorch3d.renderer.mesh.rasterize_meshes", rasterizer)
    monkeypatch.setitem(sys.modules, "pytorch3d.structures", structures)
    monkeypatch.delitem(sys.modules, "render.backends.pytorch3d", raising=False)
    yield
    sys.modules.pop("render.backends.pytorch3d", None)


def test_torch_is_the_default():
    assert render.backend() == "torch"
    assert "torch" in render.available_backends()


@pytest.mark.usefixtures("stand_in")
def test_a_choice_holds_until_the_next_and_a_block_gives_it_back():
    render.use_backend("pytorch3d")
    assert render.backend() == "pytorch3d"
    with render.use_backend("torch"):
        assert render.backend() == "torch"
    assert render.backend() == "pytorch3d"
    with pytest.raises(ZeroDivisionError), render.use_backend("torch"):
        raise ZeroDivisionError
    assert render.backend() == "pytorch3d"


@pytest.mark.usefixtures("stand_in")
def test_everything_that_is_drawn_is_drawn_by_the_choice():
    uv, charted = torch.tensor([[0.0, 0], [1, 0], [0, 1]]), TRIANGLE

    def drawn():
        yield rasterize(SCREEN, TRIANGLE, CAMERA).mask.any()
        yield depth_buffer(SCREEN, TRIANGLE, CAMERA).isfinite().any()
        yield texel_map(uv, charted, 8).mask.any()

    assert all(drawn())
    assert vertex_visibility(SCREEN, TRIANGLE, CAMERA).all()
    with render.use_backend("pytorch3d"):
        assert not any(drawn())


@pytest.mark.usefixtures("stand_in")
def test_rasterizers_have_the_same_functions_and_arguments():
    ours, theirs = (import_module(f"render.backends.{name}") for name in ("torch", "pytorch3d"))
    for name in ("rasterize_fragments", "nearest_faces", "nearest_depth"):
        assert inspect.signature(getattr(ours, name)) == inspect.signature(getattr(theirs, name))
    assert isinstance(theirs.rasterize_fragments(SCREEN, TRIANGLE, (8, 8), perspective_correct=True), Fragments)


@pytest.mark.usefixtures("no_pytorch3d")
def test_a_missing_library_is_said_in_one_line_with_the_remedy(monkeypatch):
    line = r"^the renderer pytorch3d cannot be loaded .* or use the renderer torch$"
    with pytest.raises(MissingPackageError, match=line):
        render.use_backend("pytorch3d")
    assert render.backend() == "torch"
    assert render.available_backends() == ("torch",)
    monkeypatch.setenv(VARIABLE, "pytorch3d")
    with pytest.raises(MissingPackageError, match="INSTALL.md"):
        rasterize(SCREEN, TRIANGLE, CAMERA)


def test_an_unknown_name_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="'opengl'; expected 'torch' or 'pytorch3d'"):
        render.use_backend("opengl")
    assert render.backend() == "torch"
    monkeypatch.setenv(VARIABLE, "opengl")
    with pytest.raises(ValueError, match="'opengl'; expected 'torch' or 'pytorch3d'"):
        rasterize(SCREEN, TRIANGLE, CAMERA)


@pytest.mark.usefixtures("stand_in")
def test_processes_that_are_started_later_inherit_the_choice():
    ask = "import render, sys; print(render.backend(), 'torch' in sys.modules)"

    def answer():
        return subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.split()

    with render.use_backend("pytorch3d"):
        assert answer() == ["pytorch3d", "False"]  # and nothing heavy is loaded for it
    assert answer() == ["torch", "False"]
    assert not os.environ[VARIABLE]
