"""A photo by PyTorch3D ends where it ends with torch. Minutes on a CPU, where every face is tried at every pixel."""

from pathlib import Path

import numpy as np
import pytest

import gcnface
from render import available_backends, use_backend

pytestmark = pytest.mark.skipif("pytorch3d" not in available_backends(), reason="pytorch3d is not installed")

PHOTO = Path(__file__).parents[1] / "data" / "face.jpg"
DIFFERENT_SHARE, MEAN_DIFFERENCE = 1e-3, 1e-4
"""Share of the pixels that may differ by more than 0.01, and mean difference of all; measured: none, and 1e-8."""


def by(backend):
    """Vertices in mm, and colours: at vertices, of the texture, of a picture."""
    with use_backend(backend):
        face = gcnface.reconstruct(PHOTO, texture_size=64)
        return face.vertices_cam, (face.shading, face.mesh.texture, face.draw(64).rgb)


def test_a_photo():
    (our_verts, ours), (their_verts, theirs) = by("torch"), by("pytorch3d")
    np.testing.assert_allclose(their_verts, our_verts, atol=0.01, rtol=0)
    for our, their in zip(ours, theirs, strict=True):
        assert our.std() > 0.01
        difference = np.abs(our - their)
        assert difference.mean() < MEAN_DIFFERENCE
        assert (difference > 0.01).mean() < DIFFERENT_SHARE
