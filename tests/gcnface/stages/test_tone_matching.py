"""Hidden parts of the head take the tones of the seen ones."""

import numpy as np
import pytest
import torch

from coarse.face_model import load_face_model
from gcnface.stages.tone_matching import match_tones
from refine.pyramid import MeshPyramid
from tests.tolerances import CHAINS

SEEN, HIDDEN = 0.35, 0.2


@pytest.fixture(scope="module")
def model():
    return load_face_model()


@pytest.fixture(scope="module")
def pyramid(model):
    return MeshPyramid(model.levels)


@pytest.fixture(scope="module")
def front(model):
    """(1, V) the middle of the face is seen."""
    place = (np.abs(model.mean[:, 0]) < 50) & (model.mean[:, 2] > 50)
    return torch.from_numpy((model.region_mask("face", "eyes_nose_mouth") & place).astype(np.float32))[None]


def two_tones(confidence):
    return torch.where(confidence > 0, SEEN, HIDDEN)[..., None].expand(-1, -1, 3).clone()


def test_seen_colours_stay(model, pyramid, front):
    albedo = two_tones(front)
    found = match_tones(model, pyramid, albedo, front)
    assert torch.equal(found[front == 1], albedo[front == 1])


def test_cheeks_ears_and_neck_take_the_tone_of_the_face(model, pyramid, front):
    found = match_tones(model, pyramid, two_tones(front), front)[0, :, 0]
    for region in ("ears", "neck"):
        assert found[torch.from_numpy(model.region_mask(region))].mean() > HIDDEN + 0.4 * (SEEN - HIDDEN)


def test_skin_does_not_colour_hair(model, pyramid, front):
    """The crown lies among scalp alone."""
    found = match_tones(model, pyramid, two_tones(front), front)[0, :, 0]
    scalp = torch.from_numpy(model.region_mask("scalp") & (model.mean[:, 2] < 0))
    assert found[scalp].mean() == pytest.approx(HIDDEN, abs=0.01)


def test_one_tone_stays_one_tone(model, pyramid, front):
    albedo = torch.full((1, len(model.mean), 3), SEEN)
    torch.testing.assert_close(match_tones(model, pyramid, albedo, front), albedo, **CHAINS)


def test_nothing_seen_changes_nothing(model, pyramid, front):
    albedo = two_tones(front)
    assert torch.equal(match_tones(model, pyramid, albedo, torch.zeros_like(front)), albedo)


def test_detail_of_hidden_parts_stays(model, pyramid, front):
    """Ripples from vertex to vertex on the neck keep their strength."""
    noise = 1 + 0.1 * torch.randn(1, len(model.mean), 1, generator=torch.Generator().manual_seed(0))
    plain, rough = (match_tones(model, pyramid, two_tones(front) * x, front) for x in (torch.ones_like(noise), noise))
    neck = torch.from_numpy(model.region_mask("neck"))
    assert (rough / plain)[0, neck, 0].log().std() == pytest.approx(0.1, abs=0.03)
