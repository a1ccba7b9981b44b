"""The albedo learned from photographs: holes are filled harmonically, outliers do not count, colours come back."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from coarse.face_model import load_face_model
from coarse.morphable import MorphableModel, crop_camera
from gcnface.building.albedo import AlbedoLearning, _robust_pca, _Samples, _surface_extension, learn_albedo
from gcnface.data.faces import CANVAS_MARGIN_PX, CANVAS_PX, PreparedFaces
from gcnface.photo.parsing import PARSING_CLASSES
from render.color import srgb_from_linear
from render.interpolate import interpolate
from render.rasterize import rasterize


@pytest.fixture(scope="module")
def model():
    return load_face_model()


def test_seen_vertices_keep_their_values_and_holes_lie_between(model):
    extend = _surface_extension(model)
    height = model.mean[:, 1:2].astype(np.float64)
    seen = np.random.default_rng(0).random(len(height)) > 0.3
    filled = extend(height, seen)
    np.testing.assert_allclose(filled[seen], height[seen], atol=0.05)
    assert filled.min() >= height[seen].min() - 0.05
    assert filled.max() <= height[seen].max() + 0.05
    assert np.abs(filled - height)[~seen].mean() < 1.0, "a millimetre, where neighbours are some apart"


def test_a_constant_is_extended_as_it_is(model):
    seen = model.region <= 1
    values = np.where(seen[:, None], 0.4, 9.0) * np.ones(3)
    np.testing.assert_allclose(_surface_extension(model)(values, seen), 0.4, atol=1e-3)


def test_principal_components_of_partly_seen_colours(model):
    rng = np.random.default_rng(0)
    count, vertices = 200, 60
    direction = rng.normal(size=(vertices, 3))
    direction /= np.linalg.norm(direction)
    amount = rng.normal(size=(count, 1, 1))
    truth = 0.5 + 0.3 * amount * direction
    colors = truth + rng.normal(scale=1e-3, size=truth.shape)
    weight = (rng.random((count, vertices)) > 0.2).astype(np.float16)
    colors[weight == 0] = 5.0
    samples = _Samples(colors.astype(np.float16), weight)
    mean, basis = _robust_pca(model, samples, AlbedoLearning(components=3, imputations=6))
    np.testing.assert_allclose(mean, truth.mean(0), atol=0.02)
    first = basis[..., 0]
    assert abs((first / np.linalg.norm(first) * direction).sum()) > 0.98
    assert np.linalg.norm(first) == pytest.approx(0.3 * amount.std(), rel=0.15)
    assert np.linalg.norm(basis[..., 1]) < 0.2 * np.linalg.norm(first)


def test_faces_of_one_colour_give_that_colour(model):
    """Three heads of one skin, drawn under the model's own light: learned is a skin of that tone all over the face."""
    network = MorphableModel(model)
    raw = torch.zeros(3, network.layout.total)
    neutral = network.layout.decode(raw)
    skin = torch.tensor([0.45, 0.25, 0.18])
    face = network(neutral)
    camera = crop_camera(3)
    fragments = rasterize(face.verts_cam, network.faces, camera)
    picture = interpolate(srgb_from_linear((skin * face.shading).clamp(0, 1)), network.faces, fragments)
    canvases = np.zeros((3, CANVAS_PX, CANVAS_PX, 3), np.uint8)
    labels = np.zeros((3, CANVAS_PX, CANVAS_PX), np.uint8)
    inside = slice(CANVAS_MARGIN_PX, -CANVAS_MARGIN_PX)
    canvases[:, inside, inside] = (picture * 255).round().numpy()
    labels[:, inside, inside] = np.where(fragments.mask.numpy(), PARSING_CLASSES.index("skin"), 0)
    names = np.array(["a", "b", "c"])
    flags = np.zeros(3, bool)
    faces = PreparedFaces(canvases, labels, np.zeros((3, 468, 3), np.float32), names, flags, flags, names)
    start = replace(model, albedo_mean=np.full_like(model.albedo_mean, 0.3))
    settings = AlbedoLearning(components=2, rounds=1, imputations=1, minimum_seen=1)
    learned = learn_albedo(start, faces, np.arange(3), neutral, settings)
    assert learned.albedo_basis.shape == (*model.mean.shape, 2)
    front = (model.region == 0) & (model.mean[:, 2] > np.percentile(model.mean[:, 2], 80))
    color = learned.albedo_mean[front]
    assert color.std(0).max() < 0.06
    ratio = np.median(color, 0) / skin.numpy()
    assert ratio.max() / ratio.min() < 1.8, "the tone, as far as one photo tells light from skin"
