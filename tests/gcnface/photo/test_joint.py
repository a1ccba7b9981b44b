"""YuNet's faces get the points of MTCNN's last network, but for faces of which it says something else."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gcnface.photo.detection import make_detector
from tests.tolerances import EQUAL


@pytest.fixture(scope="module")
def yunet_face(portrait):
    return make_detector("yunet").detect(portrait)[0]


def answering(shift, score):
    """An output network that sees every point in the middle of its window, moved by a share of its side."""
    return lambda batch: (None, torch.full((len(batch), 10), 0.5 + shift), torch.tensor([[1 - score, score]]))


def eye_distance(points5):
    return np.linalg.norm(points5[1] - points5[0])


def test_points_are_those_of_mtcnn(portrait, yunet_face):
    found, mtcnn = (make_detector(name).detect(portrait)[0] for name in ("joint", "mtcnn"))
    apart = np.linalg.norm(found.points5 - mtcnn.points5, axis=1).mean()
    assert apart < 0.03 * eye_distance(mtcnn.points5)
    assert apart < 0.5 * np.linalg.norm(yunet_face.points5 - mtcnn.points5, axis=1).mean()
    np.testing.assert_allclose(found.box, yunet_face.box, **EQUAL)
    assert found.score == yunet_face.score


@pytest.mark.parametrize(("shift", "score"), [(0.0, 1.0), (3.0, 1.0)])
def test_points_far_from_yunets_are_left(portrait, yunet_face, shift, score):
    joint = make_detector("joint")
    joint.__dict__["_output_network"] = answering(shift, score)
    np.testing.assert_allclose(joint.detect(portrait)[0].points5, yunet_face.points5, **EQUAL)


def test_points_of_what_it_takes_for_no_face_are_left(portrait, yunet_face):
    joint = make_detector("joint")
    network = joint._output_network
    joint.__dict__["_output_network"] = lambda batch: (*network(batch)[:2], torch.tensor([[0.5, 0.5]]))
    np.testing.assert_allclose(joint.detect(portrait)[0].points5, yunet_face.points5, **EQUAL)


def test_where_nothing_is_found_the_second_network_is_not_loaded(monkeypatch):
    monkeypatch.setattr("gcnface.photo.joint.load_mtcnn", SimpleNamespace)
    assert make_detector("joint").detect(np.full((64, 64, 3), 0.5, np.float32)) == []
