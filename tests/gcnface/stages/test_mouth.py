import numpy as np
import pytest
import torch

from coarse.face_model import load_face_model
from gcnface.stages.mouth import DARKEST, darkened_mouth, mouth_fade


@pytest.fixture(scope="module")
def model():
    return load_face_model()


def test_it_fades_inwards_and_nowhere_else(model):
    fade, inside = mouth_fade(model).numpy(), model.region_mask("mouth_interior")
    assert (fade[~inside] == 1).all()
    assert fade[inside].max() <= 1
    assert fade[inside].max() > 0.5  # no step at the lips
    assert np.median(fade[inside]) < 0.05
    assert (fade[inside][:, 0] >= fade[inside][:, 1]).all()
    depth = model.mean[inside][:, 2]
    assert np.corrcoef(depth, fade[inside][:, 0])[0, 1] > 0.3


def test_what_a_photo_saw_stays(model):
    fade, inside = mouth_fade(model), torch.from_numpy(model.region_mask("mouth_interior"))
    albedo = torch.rand(len(fade), 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(darkened_mouth(albedo, torch.ones(len(fade)), fade), albedo)
    hidden = darkened_mouth(albedo, torch.zeros(len(fade)), fade)
    assert torch.equal(hidden[~inside], albedo[~inside])
    assert (hidden[inside] <= albedo[inside]).all()
    assert hidden[inside].mean() < 0.3 * albedo[inside].mean()
    deep = fade[:, 0] < 1e-3
    darkest = torch.tensor(DARKEST)
    assert torch.equal(hidden[deep], torch.minimum(albedo, darkest)[deep])
    half = darkened_mouth(albedo, torch.full((len(fade),), 0.5), fade)
    torch.testing.assert_close(half, (albedo + hidden) / 2)
