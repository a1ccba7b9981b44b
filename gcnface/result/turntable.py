"""A full turn of a head, picture by picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from gcnface.result.editing import drawn_shading
from gcnface.result.rendering import RenderedImage, TextureRenderer, portrait

if TYPE_CHECKING:
    from gcnface.result.reconstruction import Reconstruction


def turntable_angles(count: int) -> list[float]:
    """`count` angles in degrees from 0 to 360, both among them: the last picture is the first again.

    Raises:
        ValueError: fewer than 2.
    """
    if count < 2:
        raise ValueError(f"count is {count}; a turn needs at least 2 frames")
    return np.linspace(0.0, 360.0, count).tolist()


def turntable(
    face: Reconstruction,
    count: int = 120,
    size: int | tuple[int, int] = 512,
    *,
    light_follows: bool = False,
    on_frame: Callable[[int], None] | None = None,
) -> Iterator[RenderedImage]:
    """Draw a full turn about the head's vertical axis, from the pose it has, to the viewer's right first.

    Args:
        face: what turns.
        count: of drawings; the last shows what the first does.
        size: as in `gcnface.result.rendering.draw`.
        light_follows: the light turns with the head, as if the camera walked around; else the head turns in its light.
        on_frame: called with 1, 2, ... as each drawing begins.

    Example:
        >>> import gcnface
        >>> face = gcnface.reconstruct("examples/portrait.jpg", texture_size=512)
        >>> [picture.rgba.shape for picture in gcnface.turntable(face, count=3, size=64)]
        [(64, 64, 4), (64, 64, 4), (64, 64, 4)]
    """
    hw = (size, size) if isinstance(size, int) else size
    renderer = TextureRenderer(face.mesh)
    for number, angle in enumerate(turntable_angles(count), 1):
        if on_frame is not None:
            on_frame(number)
        rotated = face.rotated(yaw=angle % 360.0, light_follows=light_follows)
        viewpoint = portrait(rotated, hw)
        yield renderer.render(viewpoint.verts_cam, viewpoint.camera, torch.from_numpy(drawn_shading(rotated)))
