"""The fit to a photo lowers what it says it lowers, and its derivatives are those of its objective."""

from dataclasses import replace

import pytest
import torch

from coarse.face_model import load_face_model
from coarse.fitting import render_crop
from coarse.losses import CoarseLossWeights, photometric_loss
from coarse.morphable import MorphableModel, crop_camera
from coarse.photo_descent import Objective
from coarse.photo_fitting import DensePoints, PhotoFitter, PhotoFitting

GRAY = torch.full((1, 224, 224, 3), 0.3)


@pytest.fixture(scope="module")
def model():
    return MorphableModel(load_face_model(), level=2)


@pytest.fixture(scope="module")
def truth(model):
    raw = torch.zeros(1, model.layout.total)
    generator = torch.Generator().manual_seed(1)
    raw[:, : model.layout.identity] = 0.7 * torch.randn(1, model.layout.identity, generator=generator)
    return replace(model.layout.decode(raw), rotation=torch.tensor([[0.1, 0.4, 0.0]]))


@pytest.fixture(scope="module")
def drawn(model, truth):
    """Picture (1, 3, 224, 224) and mask (1, 224, 224) of the true face."""
    with torch.no_grad():
        picture, mask = render_crop(model, model(truth), GRAY)
    return picture.permute(0, 3, 1, 2), mask.float()


@pytest.fixture(scope="module")
def start(model, truth):
    return model.layout.encode(replace(truth, rotation=truth.rotation + 0.05))


def screen(model, raw):
    return crop_camera().project(model(model.layout.decode(raw)).verts_cam)


def dense_points(model, truth):
    vertex = torch.arange(0, 2000, 7)
    xy = crop_camera().project(model(truth).verts_cam)[:, vertex, :2]
    return DensePoints(vertex, xy, torch.ones(1, len(vertex)))


def test_colours_lead_back_to_the_drawn_face(model, truth, drawn, start):
    photo, mask = drawn
    found = PhotoFitter(model, PhotoFitting(steps=8, anchor=0.0, dense=0.0, stride=1))(start, photo, mask)

    def error(raw):
        with torch.no_grad():
            picture, covered = render_crop(model, model(model.layout.decode(raw)), GRAY)
        return photometric_loss(picture, photo.permute(0, 2, 3, 1), covered * mask)

    assert error(found) < 0.5 * error(start)


def test_dense_points_draw_the_surface_to_them(model, truth, drawn, start):
    photo, mask = drawn
    points = dense_points(model, truth)
    settings = PhotoFitting(anchor=0.0, dense=1.0)
    found = PhotoFitter(model, settings)(start, photo, torch.zeros_like(mask), dense=points)
    assert points.distance(screen(model, found)) < 0.1 * points.distance(screen(model, start))


def test_points_that_were_not_seen_do_not_pull(model, truth, drawn, start):
    photo, mask = drawn
    points = dense_points(model, truth)
    weight = points.weight.clone()
    weight[:, ::2] = 0
    spoiled = points.xy_px.clone()
    spoiled[:, 2::2] += 3.0
    fits = [
        PhotoFitter(model)(start, photo, mask, dense=replace(points, xy_px=xy, weight=weight))
        for xy in (points.xy_px, spoiled)
    ]
    torch.testing.assert_close(*fits, atol=0.02, rtol=0)


def test_every_photo_of_a_batch_for_itself(model, drawn, start):
    photo, mask = drawn
    fitter = PhotoFitter(model, PhotoFitting(steps=1))
    other = torch.rand(photo.shape, generator=torch.Generator().manual_seed(0))
    both = fitter(start.repeat(2, 1), torch.cat([other, photo]), mask.repeat(2, 1, 1))
    torch.testing.assert_close(both[1:], fitter(start, photo, mask))


def test_start_is_left_untouched_and_held_by_its_weight(model, drawn, start):
    photo, mask = drawn
    before = start.clone()
    holds = (PhotoFitting(start=weight, turn=weight) for weight in (1e-4, 1e3))
    found = [PhotoFitter(model, settings)(start, photo, mask) for settings in holds]
    assert torch.equal(start, before)
    assert (found[1] - start).norm() < 1e-3 * (found[0] - start).norm()


def test_points_that_lead_turn_the_face_further(model, truth, drawn, start):
    points = replace(dense_points(model, truth), weight=torch.ones(1, 286))
    fitter = PhotoFitter(model, PhotoFitting(weights=CoarseLossWeights(photometric=0.0)))

    def rotation(lead):
        dense = replace(points, lead=None if lead is None else torch.tensor([lead]))
        return model.layout.decode(fitter(start, *drawn, dense=dense)).rotation

    plain, followed, led = (rotation(lead) for lead in (None, 0.0, 1.0))
    assert torch.equal(plain, followed)
    assert (led - truth.rotation).norm() < 0.8 * (plain - truth.rotation).norm()


def test_a_crop_without_skin_is_left_to_the_landmarks(model, drawn, start):
    found = PhotoFitter(model)(start, drawn[0], torch.zeros(1, 224, 224))
    assert torch.isfinite(found).all()


def test_derivatives_are_those_of_the_objective(model, truth, drawn, start):
    photo, mask = drawn
    fitter = PhotoFitter(model, PhotoFitting(start=1e-2))
    points = dense_points(model, truth)
    points = replace(points, xy_px=points.xy_px + 2.0)
    colors = fitter._colors(start, photo[0], torch.ones_like(mask[0]))
    terms = [fitter._anchor(start, fitter.settings.anchor), fitter._dense(points), colors]
    raw = start + 0.01
    raw[:, model.layout.identity : model.layout.identity + model.layout.expression] = 0.1
    # The picture's gradients are differences over two pixels: those of colours are less exact.
    for chosen, slack in (([], 0.01), (terms[:1], 0.05), (terms[1:2], 0.01), (terms[2:], 0.2)):
        objective = Objective(model, fitter.settings, start, chosen)
        _, gradient = objective.quadratic(objective.evaluate(raw))
        for part in model.layout.split(torch.arange(model.layout.total)[None]).values():
            way = torch.zeros_like(raw)
            way[0, part[0]] = gradient[part[0]] / gradient[part[0]].norm()
            ahead, behind = (objective.evaluate(raw + size * way).value for size in (0.01, -0.01))
            assert (ahead - behind) / 0.02 == pytest.approx(float(way[0] @ gradient), rel=slack)
