"""Hair grows above a hairline and leaves the face as it was."""

import numpy as np
import pytest
import torch

from coarse.face_model import load_face_model
from gcnface.building.hairstyles import haired, hairline, smooth_noise


@pytest.fixture(scope="module")
def model():
    return load_face_model()


@pytest.fixture(scope="module")
def head(model):
    verts = torch.from_numpy(model.mean).float()[None]
    return verts, torch.full((len(model.mean), 3), 0.3), torch.from_numpy(model.faces.astype(np.int64))


@pytest.mark.parametrize("seed", range(6))
def test_hair_covers_the_crown_and_not_the_face(model, head, seed):
    verts, albedo, faces = head
    grown, colors = haired(model, verts, albedo, faces, np.random.default_rng(seed))
    features = torch.from_numpy(model.region_mask("eyes_nose_mouth", "eyeballs", "mouth_interior"))
    assert torch.equal(grown[0, features], verts[0, features])
    assert torch.equal(colors[features], albedo[features])
    crown = torch.from_numpy(model.region_mask("scalp")) & (verts[0, :, 1] > 120)
    assert ((grown - verts)[0, crown].norm(dim=1) > 0.2).float().mean() > 0.9
    assert ((colors - albedo)[crown].abs().amax(1) > 1e-3).all()
    assert (colors >= 0).all()


def test_the_hairline_falls_from_the_forehead_over_the_temple_to_the_nape():
    places = torch.tensor([[0.0, 0, 100], [60, 0, 60], [75, 0, 20], [70, 0, -40]])
    heights = hairline(places, 90.0, 0.0, 0.0)
    assert heights[0] == pytest.approx(90.0)
    assert (heights.diff() < 0).all()
    assert hairline(places, 90.0, 0.0, 100.0)[3] <= heights[3]


def test_noise_is_smooth_and_bounded(head):
    points = torch.rand(500, 3) * 100
    rng = np.random.default_rng(3)
    state = rng.bit_generator.state
    noise = smooth_noise(points, 30.0, rng)
    assert noise.abs().max() < 1.71
    assert noise.std() > 0.2
    rng.bit_generator.state = state
    assert (smooth_noise(points + 0.1, 30.0, rng) - noise).abs().max() < 0.05
