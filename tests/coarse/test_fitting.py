"""Fitting finds again what was drawn from the model itself."""

from dataclasses import replace

import pytest
import torch

from coarse.decomposition import ObservedColors, decompose
from coarse.face_model import load_face_model
from coarse.fitting import LandmarkFitting, fit_landmarks
from coarse.losses import landmark_distance_loss
from coarse.morphable import MorphableModel, crop_camera


@pytest.fixture(scope="module")
def model():
    return MorphableModel(load_face_model(), level=2)


@pytest.fixture(scope="module")
def truth(model):
    raw = torch.zeros(2, model.layout.total)
    raw[:, : model.layout.identity] = 0.7 * torch.randn(
        2, model.layout.identity, generator=torch.Generator().manual_seed(1)
    )
    coefficients = model.layout.decode(raw)
    return replace(coefficients, rotation=torch.tensor([[0.1, 0.4, 0.0], [0.0, -0.3, 0.1]]))


def project(model, coefficients):
    return crop_camera(len(coefficients.identity)).project(model.landmarks_cam(coefficients))[..., :2]


def test_landmarks_of_the_model_are_fitted_and_the_pose_found(model, truth):
    target = project(model, truth)
    found = fit_landmarks(model, target, LandmarkFitting(steps=200))
    assert landmark_distance_loss(project(model, found), target) < 0.004
    assert (found.rotation - truth.rotation).abs().max() < 0.03


def test_decomposition_finds_light_and_albedo_of_a_drawn_face(model, truth):
    generator = torch.Generator().manual_seed(2)
    lighting = truth.lighting[:1].clone()
    lighting[:, 1:4] += torch.tensor([[[0.2], [0.3], [-0.4]]])
    albedo = 0.5 * torch.randn(1, model.layout.albedo, generator=generator)
    face = model(replace(truth[:1], albedo=albedo, lighting=lighting))
    ones = torch.ones(face.lit.shape[:2])
    found = decompose(model, ObservedColors(face.lit, ones, ones, face.normals_view))
    drawn = model(replace(face.coefficients, albedo=found.albedo, lighting=found.lighting))
    assert (drawn.lit - face.lit).abs().mean() < 0.01
    assert (drawn.shading - face.shading).abs().mean() < 0.06


def test_decomposition_ignores_what_is_not_weighted(model, truth):
    face = model(truth[:1])
    weight = torch.ones(face.lit.shape[:2])
    weight[:, ::3] = 0
    spoiled = face.lit.clone()
    spoiled[:, ::3] = 5.0
    clean = decompose(model, ObservedColors(face.lit, weight, weight, face.normals_view))
    dirty = decompose(model, ObservedColors(spoiled, weight, weight, face.normals_view))
    torch.testing.assert_close(dirty.lighting, clean.lighting, atol=1e-4, rtol=1e-3)
