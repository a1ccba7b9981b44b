"""Drawn pictures show the colours that they were given."""

import numpy as np
import pytest
import torch

from coarse.face_model import load_face_model
from gcnface.evaluation.records import MethodResult
from gcnface.evaluation.scenes import SCENE_PX, Surface, backdrop, photograph, scene_camera, surface_of, vertex_albedo
from render.color import linear_from_srgb, srgb_from_linear

SQUARE = torch.tensor([[-60.0, -60, 1000], [60, -60, 1000], [60, 60, 1000], [-60, 60, 1000]])
BEHIND = np.full((SCENE_PX, SCENE_PX, 3), 0.25, np.float32)


def square(texture):
    faces = torch.tensor([[0, 2, 1], [0, 3, 2]])
    uv = torch.tensor([[0.0, 1], [1, 1], [1, 0], [0, 0]])
    return Surface(faces, uv, faces, texture)


def test_a_square_shows_albedo_times_shading_over_the_background():
    albedo = torch.tensor([0.6, 0.3, 0.1])
    texture = albedo[None, :, None, None].expand(1, 3, 8, 8)
    shading = torch.tensor([[0.5, 1.0, 2.0]]).expand(4, 3)
    picture = photograph(square(texture), SQUARE, shading, scene_camera(SQUARE), BEHIND)
    middle = SCENE_PX // 2
    expected = srgb_from_linear(albedo * shading[0]).numpy()
    assert picture[middle, middle + 20] == pytest.approx(expected, abs=1e-5)
    assert picture[2, 2] == pytest.approx(BEHIND[2, 2], abs=1e-5)


def test_row_zero_of_the_texture_is_drawn_at_v_one():
    texture = torch.zeros(1, 3, 2, 2)
    texture[:, 0, 0] = 1.0
    picture = photograph(square(texture), SQUARE, torch.ones(4, 3), scene_camera(SQUARE), BEHIND)
    middle = SCENE_PX // 2
    assert picture[middle - 60, middle, 0] > 0.9 > 0.1 > picture[middle + 60, middle, 0]


def test_the_camera_puts_the_points_into_the_middle():
    points = SQUARE + torch.tensor([70.0, -30, 0])
    xy = scene_camera(points).project(points[None])[0, :, :2]
    assert (xy.amin(0) + xy.amax(0)) / 2 == pytest.approx(SCENE_PX / 2, abs=1e-3)


def test_vertices_take_the_texture_where_there_is_one():
    model = load_face_model()
    count = len(model.mean)
    plain = MethodResult(torch.full((count, 3), 0.2), torch.ones(count, 3))
    assert vertex_albedo(model, plain) is plain.albedo
    texture = np.zeros((256, 256, 3), np.float32)
    texture[..., 0] = np.linspace(0, 1, 256)
    shown = vertex_albedo(model, MethodResult(plain.albedo, plain.shading, texture))
    surface = surface_of(model, texture)
    row, corner = 1000, 1
    u = float(surface.uv[surface.uv_faces[row, corner], 0])
    vertex = int(surface.faces[row, corner])
    expected = float(linear_from_srgb(torch.tensor((u * 256 - 0.5) / 255)))
    assert float(shown[vertex, 0]) == pytest.approx(expected, abs=0.01)
    assert shown[:, 1:].abs().max() == 0


def test_the_backdrop_is_the_upper_left_corner():
    photo = np.zeros((100, 200, 3), np.float32)
    photo[:, :20] = (0.2, 0.5, 0.8)
    assert backdrop(photo, 64).shape == (64, 64, 3)
    assert backdrop(photo, 64).mean((0, 1)) == pytest.approx((0.2, 0.5, 0.8), abs=1e-3)
