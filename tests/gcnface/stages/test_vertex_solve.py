"""The finished colours draw the photo, and only believed vertices carry it in their albedo."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from coarse.face_model import load_face_model
from coarse.morphable import MorphableModel, crop_camera
from gcnface.stages.observation import VertexObservation
from gcnface.stages.vertex_solve import ImageView, solve_colors
from render.color import srgb_from_linear
from render.interpolate import interpolate
from render.rasterize import rasterize
from tests.tolerances import CHAINS, SUMS


@pytest.fixture(scope="module")
def network():
    return MorphableModel(load_face_model())


@pytest.fixture(scope="module")
def face(network):
    with torch.no_grad():
        return network(network.layout.decode(torch.zeros(1, network.layout.total)))


@pytest.fixture(scope="module")
def view():
    y, x = np.mgrid[:224, :224] + 0.5
    picture = 0.5 + 0.2 * np.sin(x / 2.3) * np.cos(y / 2.9)
    return ImageView(torch.from_numpy(picture).float().expand(1, 3, -1, -1), crop_camera())


@pytest.fixture(scope="module")
def seen(face):
    ones = torch.ones(face.verts_cam.shape[:2])
    return VertexObservation(face.albedo, ones > 0, 0 * ones, ones, ones, ones, face.normals_view, face.verts[..., :2])


@pytest.fixture(scope="module")
def start(face):
    flat = torch.full_like(face.albedo[0], 0.3)
    return flat, torch.full_like(flat, 0.7)


def run(network, face, start, seen, view):
    return solve_colors(face.verts_cam, network.faces, *start, seen, [view])


def error(network, face, linear, view):
    fragments = rasterize(face.verts_cam, network.faces, view.camera)
    drawn = interpolate(srgb_from_linear(linear.clamp(0, 1)), network.faces, fragments)[0]
    inside = fragments.mask[0]
    return float((drawn - view.image[0].permute(1, 2, 0))[inside].square().mean())


def test_lit_colours_draw_the_photo(network, face, start, seen, view):
    done = run(network, face, start, seen, view)
    before = error(network, face, start[0] * start[1], view)
    assert error(network, face, done.lit, view) < 0.1 * before


def test_albedo_of_what_is_not_believed_stays(network, face, start, seen, view):
    done = run(network, face, start, seen, view)
    torch.testing.assert_close(done.albedo, start[0])
    believed = run(network, face, start, replace(seen, confidence=seen.shown), view)
    torch.testing.assert_close(believed.albedo * start[1], believed.lit, **SUMS)
    torch.testing.assert_close(believed.shading, start[1], **CHAINS)


def test_albedo_times_shading_is_what_is_drawn(network, face, start, seen, view):
    done = run(network, face, start, replace(seen, confidence=0.5 * seen.shown), view)
    torch.testing.assert_close(done.albedo * done.shading, done.lit, **CHAINS)


def test_what_is_not_shown_stays(network, face, start, seen, view):
    done = run(network, face, start, replace(seen, shown=torch.zeros_like(seen.shown)), view)
    torch.testing.assert_close(done.lit, start[0] * start[1])
    torch.testing.assert_close(done.shading, start[1])
