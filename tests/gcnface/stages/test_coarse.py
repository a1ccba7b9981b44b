"""Dense points of a window, from its map where that is known; turned heads are regressed from both sides."""

import numpy as np
import pytest
import torch

from coarse.morphable import MorphableModel, layout_of
from coarse.position_map import WINDOW_MARGIN_PX
from gcnface.stages.coarse import CoarseStage, DenseStage
from tests.gcnface.dense_stub import STRAIGHT, TURNED, shared_model
from tests.tolerances import EQUAL


class CountedNetwork:
    """Answers one map and counts how often it is asked."""

    def __init__(self, layout, position_map):
        self.layout, self.position_map, self.calls = layout, position_map, 0

    def to(self, device):
        return self

    def __call__(self, windows):
        self.calls += 1
        return self.position_map.expand(len(windows), -1, -1, -1)


@pytest.fixture(scope="module")
def known():
    """A dense stage, its network, and the (V, 3) px of the face it knows."""
    model, reader = shared_model()
    points = (STRAIGHT.in_photo(model.mean) / 2).astype(np.float32)
    network = CountedNetwork(reader.layout, reader.layout.encode(torch.from_numpy(points)[None]))
    return DenseStage(MorphableModel(model, level=1), network), network, points


def test_a_known_map_is_not_asked_for_again(known):
    stage, network, _ = known
    window = torch.zeros(1, 3, 256, 256)
    asked = stage(window)
    assert network.calls == 1
    given = stage(window, network.position_map)
    assert network.calls == 1
    torch.testing.assert_close(given.xy_px, asked.xy_px, **EQUAL)
    torch.testing.assert_close(given.weight, asked.weight, **EQUAL)


def test_points_lie_in_the_crop(known):
    stage, network, points = known
    model, _ = shared_model()
    index = MorphableModel(model, level=1).vertex_index[stage.vertex].numpy()
    found = stage(torch.zeros(1, 3, 256, 256), network.position_map).xy_px[0].numpy()
    away = np.linalg.norm(found + WINDOW_MARGIN_PX - points[index, :2], axis=1)
    assert np.median(away) < 0.1


def test_points_of_turned_heads_lead_and_hidden_ones_count_too(known):
    stage, _, _ = known
    model, reader = shared_model()
    straight, turned = (
        stage(torch.zeros(1, 3, 256, 256), reader.layout.encode(torch.from_numpy(points.astype(np.float32))[None]))
        for points in (head.in_photo(model.mean) / 2 for head in (STRAIGHT, TURNED))
    )
    assert straight.lead == 0
    assert straight.weight.min() == 0
    assert turned.lead > 0.9
    assert 0.25 < turned.weight.min() < 0.35
    assert turned.weight.max() == 1


@pytest.mark.parametrize(("head", "looks"), [(STRAIGHT, 1), (TURNED, 2)])
def test_turned_heads_are_regressed_in_the_mirror_too(head, looks):
    model, reader = shared_model()
    points = (head.in_photo(model.mean) / 2).astype(np.float32)
    image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    answers = torch.randn(2, layout_of(model).total, generator=torch.Generator().manual_seed(1)) * 0.1
    asked = []

    def regressor(crops):
        asked.append(crops)
        return answers[len(asked) - 1 : len(asked)]

    network = CountedNetwork(reader.layout, reader.layout.encode(torch.from_numpy(points)[None]))
    stage = CoarseStage(model, regressor, None, position_map=network)
    face = stage(image, torch.zeros(1, 10, 224, 224), window=torch.zeros(1, 3, 256, 256))
    assert len(asked) == looks
    assert torch.equal(asked[0], image)
    expected = answers[:1]
    if looks == 2:
        assert torch.equal(asked[1].flip(3), image)
        expected = (answers[:1] + stage.mirror(answers[1:])) / 2
    known = layout_of(model).decode(expected)
    torch.testing.assert_close(face.coefficients.identity, known.identity, **EQUAL)
    torch.testing.assert_close(face.coefficients.rotation, known.rotation, **EQUAL)
