"""Completion against held-out views: geometry of what is hidden, closed forms, one turn of the drawn portrait."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

from gcnface.evaluation.colors import LARGEST_PSNR_DB
from gcnface.evaluation.methods import build_method, build_methods, fit_photo
from gcnface.evaluation.protocols.completion import (
    HeldOutView,
    compare_views,
    found_shares,
    held_out_view,
    shown_weight,
    view_differences,
)
from gcnface.evaluation.records import PHOTO_ITSELF, Measured, MethodResult, Metric
from gcnface.evaluation.rendering import all_turns
from gcnface.evaluation.scenes import backdrop
from render.camera import perspective_camera

HIDDEN, SHOWN = Metric("psnr", "hidden", 60.0), Metric("psnr", "shown", 60.0)


def values_of(measured, method):
    return {metric: value for who, metric, value in measured if who == method}


@pytest.fixture(scope="module")
def truth(reconstructor, fitted):
    return build_method(reconstructor)(fitted)


@pytest.fixture(scope="module")
def rotated_view(reconstructor, fitted, truth, portrait):
    return held_out_view(reconstructor.model, fitted, truth, 60.0, backdrop(portrait))


def test_turns_go_to_both_sides_and_nought_comes_once():
    assert all_turns((0.0, 30.0, 60.0)) == [0.0, -30.0, 30.0, -60.0, 60.0]


def test_a_camera_sees_the_near_side_of_a_sphere():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(2000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    hull = ConvexHull(points)
    a, b, c = points[hull.simplices].transpose(1, 0, 2)
    outward = np.einsum("fc,fc->f", np.cross(b - a, c - a), a)
    faces = np.where(outward[:, None] > 0, hull.simplices, hull.simplices[:, ::-1]).astype(np.int64)
    verts = torch.from_numpy(points * 80 + [0, 0, 1000]).float()
    weight = shown_weight(verts, torch.from_numpy(faces), perspective_camera(1015.0, (112, 112), (224, 224)))
    depth = torch.from_numpy(points[:, 2])
    assert weight[depth < -0.6].min() > 0.99
    assert weight[depth > 0.05].max() == 0


def test_what_a_turn_hides_is_the_other_side_of_the_face(reconstructor, fitted, rotated_view):
    x = torch.from_numpy(reconstructor.model.mean[:, 0])
    assert int(rotated_view.hidden.sum()) > 2000
    assert int(rotated_view.shown.sum()) > 2000
    assert not bool((rotated_view.hidden & rotated_view.shown).any())
    # A positive turn points the nose to the viewer's right and hides that cheek.
    assert float(x[rotated_view.hidden].mean()) > 20
    assert float(x[rotated_view.shown].mean()) < 0
    assert bool((fitted.observation.confidence[0][rotated_view.hidden] > 0.5).all())


def test_the_truth_is_the_photos_own_colour(fitted, rotated_view):
    where = rotated_view.hidden | rotated_view.shown
    apart = (rotated_view.lit - fitted.observation.linear[0])[where].abs()
    assert float(apart.median()) < 0.01


def test_a_method_that_knows_the_truth_reaches_the_cap_and_a_tint_costs_without_the_gain(rotated_view):
    found = view_differences(rotated_view.lit, rotated_view)
    assert {part.psnr_db for part in found.values()} == {LARGEST_PSNR_DB}
    tinted = view_differences(rotated_view.lit * torch.tensor([0.9, 0.8, 0.7]), rotated_view)
    assert tinted[HIDDEN].psnr_db < 30
    assert tinted[replace(HIDDEN, gain=True)].psnr_db > 50


def test_metrics_average_both_sides_and_pass_over_pictures_without_a_face(reconstructor, fitted, rotated_view):
    def view(yaw, lit, found):
        return replace(rotated_view, yaw_deg=yaw, lit=lit, fitted=fitted if found else None)

    lit = rotated_view.lit.clamp(0, 1)
    method = {"coarse": lambda _: MethodResult(lit, torch.ones_like(lit))}
    views = [view(60.0, lit, True), view(-60.0, lit * 0.5, True), view(30.0, lit, False)]
    found = values_of(compare_views(reconstructor.model, views, method), "coarse")
    worse = view_differences(lit, views[1])[HIDDEN].psnr_db
    assert found[HIDDEN] == pytest.approx((LARGEST_PSNR_DB + worse) / 2)
    assert not any(metric.yaw_deg == 30 for metric in found)
    assert {metric.metric for metric in found} == {"psnr", "l1"}
    assert found_shares(views) == [
        Measured(PHOTO_ITSELF, Metric("found_share", "drawn", 60.0), 1.0),
        Measured(PHOTO_ITSELF, Metric("found_share", "drawn", 30.0), 0.0),
    ]


def test_nothing_hidden_gives_no_value(reconstructor, fitted, rotated_view):
    nothing = torch.zeros_like(rotated_view.hidden)
    view = replace(rotated_view, hidden=nothing, fitted=fitted)
    lit = rotated_view.lit
    method = {"coarse": lambda _: MethodResult(lit, torch.ones_like(lit))}
    found = values_of(compare_views(reconstructor.model, [view], method), "coarse")
    assert math.isnan(found[HIDDEN])
    assert found[SHOWN] == LARGEST_PSNR_DB


def test_the_drawn_turn_is_found_and_reconstructed(reconstructor, rotated_view):
    view = replace(rotated_view, fitted=fit_photo(reconstructor, rotated_view.picture))
    assert isinstance(view, HeldOutView)
    assert view.fitted is not None
    methods, _ = build_methods(reconstructor, ["mean", "ours"], strict=True)
    measured = compare_views(reconstructor.model, [view], methods)
    ours, mean = values_of(measured, "ours"), values_of(measured, "mean")
    assert ours[SHOWN] > mean[SHOWN] + 1
    assert 12 < ours[HIDDEN] < ours[SHOWN]
