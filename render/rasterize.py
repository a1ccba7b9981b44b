"""Which face is seen at which pixel: through a camera, or of a mesh that lies on the screen already."""

from __future__ import annotations

from torch import Tensor

from render import backends
from render.camera import Camera
from render.fragments import Fragments
from render.shapes import check_shape


def rasterize(verts_cam: Tensor, faces: Tensor, camera: Camera) -> Fragments:
    """Find the nearest face at every pixel of a camera's image; gradients flow to the vertices.

    Through a perspective camera barycentric weights hold in space; on the screen they do through an orthographic one.

    Args:
        verts_cam: (B, V, 3) mm in camera space.
        faces: (F, 3) integer, shared by the batch.
        camera: its `hw` is the size of the image.

    Raises:
        ShapeError: an argument has another shape.
        ValueError: empty image, or a face that names a missing vertex.
    """
    screen = camera.project(verts_cam)
    return rasterize_screen(screen, faces, camera.hw, perspective_correct=camera.is_perspective)


def rasterize_screen(
    verts_screen: Tensor, faces: Tensor, hw: tuple[int, int], *, perspective_correct: bool
) -> Fragments:
    """Find the nearest face at every pixel centre; gradients flow to the vertices through barycentrics and depth.

    A face with a corner at or behind the camera (depth below 1e-8) and a face without area are left out; faces are seen
    from both sides; parts outside the frame are cut off. At equal depth the face of the lowest index wins. A centre
    exactly on an edge is outside, as in PyTorch3D. The rasteriser is the one that `render.use_backend` chose.

    Args:
        verts_screen: (B, V, 3) x_px, y_px (0 at the top left, centres at .5), depth (mm), as `Camera.project` gives.
        faces: (F, 3) integer, shared by the batch.
        hw: height and width of the image in pixels.
        perspective_correct: true for a perspective camera (weights hold in space), false for an orthographic one.

    Raises:
        ShapeError: an argument has another shape.
        ValueError: empty image, or a face that names a missing vertex.
        MissingPackageError: the library of the rasteriser that was chosen is not installed.
    """
    count = check_shape("verts_screen", verts_screen, "B V 3")["V"]
    check_shape("faces", faces, "F 3")
    if faces.is_floating_point():
        raise TypeError(f"faces has type {faces.dtype}; expected integers")
    if min(hw) < 1:
        raise ValueError(f"hw is {hw}; expected a height and a width of at least one pixel")
    if faces.numel() and (int(faces.max()) >= count or int(faces.min()) < 0):
        raise ValueError(f"faces names vertices {int(faces.min())} to {int(faces.max())}; expected 0 to {count - 1}")
    draw = backends.load().rasterize_fragments
    return draw(verts_screen, faces.long(), hw, perspective_correct=perspective_correct)
