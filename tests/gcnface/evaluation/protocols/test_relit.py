"""The relit error in closed form, and on one drawn face."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gcnface.evaluation.colors import LARGEST_PSNR_DB
from gcnface.evaluation.methods import build_methods
from gcnface.evaluation.protocols.relit import (
    HARD_LAMPS,
    LAMPS,
    Lamp,
    draw_under,
    lit_pictures,
    lit_vertices,
    relit_errors,
)
from gcnface.evaluation.records import Metric
from gcnface.evaluation.scenes import vertex_albedo
from render.lighting import shade

BETWEEN, TRUE = Metric("l1", "relit"), Metric("l1", "relit_true")
SHOWN = [torch.ones(300, dtype=torch.bool)] * 3


@pytest.fixture
def albedo():
    return torch.rand(300, 3, generator=torch.Generator().manual_seed(2)) * 0.4 + 0.2


def test_the_true_albedo_under_every_lamp_has_no_error(albedo):
    found = relit_errors([albedo] * 3, SHOWN, albedo)
    assert found[BETWEEN] == found[TRUE] == found[replace(TRUE, gain=True)] == 0
    assert found[Metric("psnr", "relit")] == LARGEST_PSNR_DB


def test_projected_colours_agree_under_one_light_but_are_not_the_albedo(albedo):
    shading = torch.linspace(0.4, 1.0, 300)[:, None]
    found = relit_errors([albedo * shading] * 3, SHOWN, albedo)
    assert found[BETWEEN] == 0
    assert found[TRUE] > 0.03
    assert found[replace(TRUE, gain=True)] > 0.02


def test_projected_colours_under_two_lamps_differ_by_their_ratio(albedo):
    found = relit_errors([albedo, albedo * 0.5], SHOWN[:2], albedo)
    assert found[BETWEEN] > 0.1
    assert found[replace(BETWEEN, gain=True)] < 1e-5


def test_only_vertices_that_both_pictures_show_are_compared(albedo):
    half = torch.arange(300) < 150
    spoilt = torch.where(half[:, None], albedo, torch.zeros(()))
    assert relit_errors([albedo, spoilt], [SHOWN[0], half], albedo)[BETWEEN] == 0
    assert math.isnan(relit_errors([albedo, albedo], [half, ~half], albedo)[BETWEEN])


def test_every_view_has_both_metrics_and_the_gain_only_the_first(albedo):
    found = set(relit_errors([albedo] * 2, SHOWN[:2], albedo, "relit_hard"))
    views = ("relit_hard", "relit_hard_true")
    assert found == {Metric("l1", view, gain=gain) for view in views for gain in (False, True)} | {
        Metric("psnr", view) for view in views
    }


def test_a_lamp_is_brightest_where_the_normal_points_to_it():
    lamp = Lamp("test", (0.0, 3.0, 4.0), (0.5, 0.4, 0.3), 0.2)
    normals = torch.tensor([[[0.0, 0.6, 0.8], [1.0, 0.0, 0.0], [0.0, -0.6, -0.8]]])
    shading = shade(normals, lamp.lighting())[0]
    # Of the half cosine's expansion to order 2: 1/4 + 1/2 + 5/16 towards the lamp, 1/4 - 5/32 across it.
    assert shading[0] == pytest.approx((0.2 + 1.0625 * torch.tensor(lamp.color)).numpy(), abs=1e-5)
    assert shading[1] == pytest.approx((0.2 + 0.09375 * torch.tensor(lamp.color)).numpy(), abs=1e-5)
    assert shading[2].max() < 0.25


def test_no_lamp_drives_fair_skin_to_the_end_of_the_range():
    normals = torch.nn.functional.normalize(torch.randn(1, 2000, 3, generator=torch.Generator().manual_seed(3)), dim=2)
    for lamp in LAMPS:
        shading = shade(normals, lamp.lighting())
        assert 0.75 * float(shading.max()) < 1
        assert float(shading.min()) > 0
        assert float(shading.max() / shading.min()) > 2


def test_a_drawn_face_is_lit_from_the_lamps_side(reconstructor, fitted):
    texture = np.full((64, 64, 3), 0.7, np.float32)
    behind = np.zeros((448, 448, 3), np.float32)
    left, right = (draw_under(reconstructor.model, fitted, texture, lamp, behind) for lamp in LAMPS[1:3])
    head = (left.sum(2) > 0) & (right.sum(2) > 0)
    columns = np.nonzero(head.any(0))[0]
    low, high = columns.min(), columns.max()
    third = (high - low) // 3
    bright = left[:, low : low + third].mean() - left[:, high - third : high].mean()
    dark = right[:, low : low + third].mean() - right[:, high - third : high].mean()
    assert bright > 0.03
    assert dark < -0.03


def test_a_ball_before_a_wall_throws_a_shadow():
    y, x = torch.meshgrid(torch.linspace(-100, 100, 81), torch.linspace(-100, 100, 81), indexing="ij")
    wall = torch.stack([x.flatten(), y.flatten(), torch.full((81 * 81,), 1000.0)], dim=1)
    index = torch.arange(81 * 81).view(81, 81)
    one = torch.stack([index[:-1, :-1], index[:-1, 1:], index[1:, :-1]], dim=-1).reshape(-1, 3)
    two = torch.stack([index[:-1, 1:], index[1:, 1:], index[1:, :-1]], dim=-1).reshape(-1, 3)
    plate = torch.tensor([[-20.0, -20, 950], [20, -20, 950], [20, 20, 950], [-20, 20, 950]])
    faces = torch.cat([one, two, torch.tensor([[0, 1, 2], [0, 2, 3]]) + 81 * 81])
    # From the upper left at 45 degrees, so that a plate 50 mm before the wall darkens it 50 mm to the right.
    lit = lit_vertices(torch.cat([wall, plate]), faces, torch.tensor([-1.0, 0.0, 1.0]) / math.sqrt(2))
    shadow = ~lit[: 81 * 81]
    assert (wall[shadow].amin(0) + wall[shadow].amax(0)).tolist()[:2] == pytest.approx([100.0, 0.0], abs=4)
    assert (wall[shadow].amax(0) - wall[shadow].amin(0)).tolist()[:2] == pytest.approx([40.0, 40.0], abs=6)
    assert bool(lit[81 * 81 :].all())


def test_hard_lamps_leave_the_ambient_light_alone_where_they_do_not_reach(fitted, reconstructor):
    face, lamp = fitted.view.coarse, HARD_LAMPS[0]
    faces = torch.from_numpy(reconstructor.model.faces.astype(np.int64))
    shading = lamp.shading(face.verts_cam[0], face.normals_view[0], faces)
    away = face.normals_view[0] @ lamp.towards < 0
    assert shading[away] == pytest.approx(lamp.ambient)
    assert 0.5 < float(shading.max()) <= lamp.ambient + max(lamp.color)
    facing = face.normals_view[0] @ lamp.towards > 0.3
    shadowed = (shading[:, 0] == lamp.ambient) & facing
    assert 0.01 < float(shadowed.float().sum() / facing.float().sum()) < 0.4


def test_the_pipeline_keeps_albedo_better_than_projection(reconstructor, fitted):
    methods, _ = build_methods(reconstructor, ["projected", "ours"], strict=True)
    truth = methods["ours"](fitted)
    pictures = list(lit_pictures(reconstructor, fitted, truth, LAMPS[1:3]))
    assert len(pictures) == 2
    true, shown = vertex_albedo(reconstructor.model, truth), [picture.shown for picture in pictures]
    errors = {
        name: relit_errors([vertex_albedo(reconstructor.model, method(p.fitted)) for p in pictures], shown, true)
        for name, method in methods.items()
    }
    assert 0 < errors["ours"][BETWEEN] < 0.6 * errors["projected"][BETWEEN]
    assert errors["ours"][TRUE] < 0.6 * errors["projected"][TRUE]
