"""Light that harmonics cannot say goes into the shading; albedo times shading stays the photo."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from coarse.face_model import load_face_model
from gcnface.stages.delight import LARGEST, SkinColors, full_shading
from refine.pyramid import MeshPyramid
from tests.tolerances import CHAINS, STORED


@pytest.fixture(scope="module")
def model():
    return load_face_model()


@pytest.fixture(scope="module")
def pyramid(model):
    return MeshPyramid(model.levels)


@pytest.fixture(scope="module")
def face(model):
    return torch.from_numpy(model.region_mask("face", "eyes_nose_mouth"))


@pytest.fixture
def even(model, face):
    """Skin of one colour under even light, all of the face seen."""
    flat = torch.full((1, len(model.mean), 3), 0.3)
    return SkinColors(flat * 0.8, face.float()[None], flat, torch.full_like(flat, 0.8))


def ahead(model, face):
    return face & torch.from_numpy((np.abs(model.mean[:, 0]) < 45) & (model.mean[:, 2] > 60))


def test_what_the_harmonics_explain_stays(model, pyramid, even):
    found = full_shading(even, pyramid, model.mirror)
    torch.testing.assert_close(found, even.shading, **CHAINS)


def test_neither_complexion_nor_exposure_is_light(model, pyramid, even):
    other = replace(even, linear=even.linear * torch.tensor([0.5, 0.4, 0.3]))
    torch.testing.assert_close(full_shading(other, pyramid, model.mirror), other.shading, **STORED)


def test_a_shadow_on_one_side_is_light(model, pyramid, even, face):
    """Half of it to either side: the albedo of both becomes their geometric mean."""
    x = torch.from_numpy(model.mean[:, 0])
    lamp = (0.4 * (x / 30).tanh()).exp()[None, :, None]
    seen = replace(even, linear=even.linear * lamp)
    shading = full_shading(seen, pyramid, model.mirror)
    albedo, front = (seen.linear / shading)[0, :, 0], ahead(model, face)
    before = (seen.linear / seen.shading)[0, :, 0]
    mirror = torch.from_numpy(model.mirror).long()

    def uneven(values):
        return float((values / values[mirror]).log()[front].abs().mean())

    assert uneven(before) > 0.4
    assert uneven(albedo) < 0.1
    assert float((albedo[front] / 0.3).log().abs().mean()) < 0.08


def test_a_side_that_was_not_seen_gives_nothing_to_compare(model, pyramid, even, monkeypatch):
    monkeypatch.setattr("gcnface.stages.delight.SHINE_SHARE", 0)
    x = torch.from_numpy(model.mean[:, 0])
    lamp = (0.4 * (x / 30).tanh()).exp()[None, :, None]
    one_side = replace(even, linear=even.linear * lamp, skin=even.skin * (x > 5))
    shading = full_shading(one_side, pyramid, model.mirror)
    far = (x > 40) & (even.skin[0] > 0)
    torch.testing.assert_close(shading[0, far], even.shading[0, far], atol=0.02, rtol=0)


def test_a_highlight_is_light_and_a_beard_is_not(model, pyramid, even):
    middle = torch.from_numpy(np.exp(-((model.mean - model.mean[model.mean[:, 2].argmax()]) ** 2).sum(1) / 2 / 12**2))
    spot = (middle > 0.6) & (even.skin[0] > 0)
    for sign in (1, -1):
        seen = replace(even, linear=even.linear * (sign * middle.float()).exp()[None, :, None])
        found = (full_shading(seen, pyramid, model.mirror) / seen.shading).log()[0, spot]
        assert (found.mean() > 0.2) if sign > 0 else (found.abs().mean() < 0.05)


def test_the_change_is_limited(model, pyramid, even):
    x = torch.from_numpy(model.mean[:, 0])
    seen = replace(even, linear=even.linear * (5 * (x / 20).tanh()).exp()[None, :, None])
    change = (full_shading(seen, pyramid, model.mirror) / seen.shading).log()
    assert change.abs().max() <= LARGEST + 1e-5
