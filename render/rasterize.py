"""Which face is seen at which pixel: one function, one record, two backends."""

from __future__ import annotations

from torch import Tensor

from render.backends import pytorch3d as pytorch3d_backend
from render.backends import torch as torch_backend
from render.fragments import Fragments
from render.shapes import check_shape

BACKENDS = {"torch": torch_backend.rasterize_fragments, "pytorch3d": pytorch3d_backend.rasterize_fragments}


def available_backends() -> tuple[str, ...]:
    """Names that `rasterize` accepts on this machine, besides "auto"."""
    return ("torch", "pytorch3d") if pytorch3d_backend.is_installed() else ("torch",)


def rasterize(
    verts_screen: Tensor,
    faces: Tensor,
    hw: tuple[int, int],
    *,
    perspective_correct: bool = False,
    backend: str = "auto",
) -> Fragments:
    """Find the nearest face at every pixel centre; gradients flow to the vertices through barycentrics and depth.

    A face with a corner at or behind the camera (depth below 1e-8) and a face without area are left out; faces are seen
    from both sides; parts outside the frame are cut off. At equal depth the face of the lowest index wins. A centre
    exactly on an edge is outside, as in PyTorch3D.

    Args:
        verts_screen: (B, V, 3) x_px, y_px (0 at the top left, centres at .5), depth (mm), as `Camera.project` gives.
        faces: (F, 3) integer, shared by the batch.
        hw: height and width of the image in pixels.
        perspective_correct: true for a perspective camera (weights hold in space), false for an orthographic one.
        backend: "torch", "pytorch3d", or "auto", which is "torch" everywhere: it finds the same
            faces and is much faster on a CPU.

    Raises:
        ShapeError: an argument has another shape.
        ValueError: unknown backend, empty image, or a face that names a missing vertex.
        MissingBackendError: the backend's library is not installed.
    """
    count = check_shape("verts_screen", verts_screen, "B V 3")["V"]
    check_shape("faces", faces, "F 3")
    if faces.is_floating_point():
        raise TypeError(f"faces has type {faces.dtype}; expected integers")
    if min(hw) < 1:
        raise ValueError(f"hw is {hw}; expected a height and a width of at least one pixel")
    if faces.numel() and (int(faces.max()) >= count or int(faces.min()) < 0):
        raise ValueError(f"faces names vertices {int(faces.min())} to {int(faces.max())}; expected 0 to {count - 1}")
    name = "torch" if backend == "auto" else backend
    if name not in BACKENDS:
        raise ValueError(f"backend is {backend!r}; expected 'auto', 'torch' or 'pytorch3d'")
    return BACKENDS[name](verts_screen, faces.long(), hw, perspective_correct=perspective_correct)
