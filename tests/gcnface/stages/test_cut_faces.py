"""A face that the edge of its picture cuts is the face of the whole picture, or none."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gcnface.errors import LowQualityError
from gcnface.io.images import read_photo
from gcnface.options import ReconstructionOptions
from gcnface.pipeline import Reconstructor
from gcnface.stages.coarse import Stopwatch
from gcnface.stages.cut_faces import LEAST_SHOWN

EXAMPLES = Path(__file__).parents[3] / "examples"
SIDES = {"left": (1, 0, 0, 0), "top": (0, 1, 0, 0), "right": (0, 0, 1, 0), "bottom": (0, 0, 0, 1), "all": (1, 1, 1, 1)}
CUTS = [0, 5, 15, 30]
"""Percent of the face's box that are cut off."""
PERCENT = 2.5
"""Of the distance of the outer eye corners: how far the mean landmark may be from that of the whole picture."""


@pytest.fixture(scope="module")
def reconstructor():
    return Reconstructor(ReconstructionOptions(texture_size=64))


@pytest.fixture(scope="module", params=["portrait", "smile"])
def whole(request, reconstructor):
    photo = read_photo(EXAMPLES / f"{request.param}.jpg")
    return photo, landmarks(reconstructor, photo)


def looked_at(reconstructor, photo):
    found = reconstructor.detector.detect(photo)
    return reconstructor.stages.fit_face(photo, found[0], Stopwatch()) if found else None


def landmarks(reconstructor, photo):
    view = looked_at(reconstructor, photo)
    with torch.no_grad():
        points = reconstructor.stages.coarse.morphable.landmarks_cam(view.coarse.coefficients)
        return view.camera.project(points)[0, :, :2].numpy()


def none_is_found(reconstructor, photo):
    """Whether the detector sees nothing, or what it sees is refused."""
    try:
        return not reconstructor(photo)
    except LowQualityError:
        return True


def cut(photo, points, side, percent):
    """The picture cut at a share of the face's box from the box's sides, and what was cut from left and top."""
    low, high = points.min(0), points.max(0)
    inset = percent / 100 * (high - low)
    edges = np.concatenate([low + inset, high - inset])
    whole = np.array([0, 0, photo.shape[1], photo.shape[0]])
    x0, y0, x1, y1 = np.where(SIDES[side], edges.round(), whole).astype(int)
    return np.ascontiguousarray(photo[y0:y1, x0:x1]), np.array([x0, y0])


@pytest.mark.slow
@pytest.mark.parametrize(
    "percent", [pytest.param(cut, marks=pytest.mark.exhaustive if cut < 10 else ()) for cut in CUTS]
)
@pytest.mark.parametrize("side", SIDES)
def test_a_cut_picture_gives_the_face_of_the_whole(reconstructor, whole, side, percent):
    photo, points = whole
    part, origin = cut(photo, points, side, percent)
    if (side, percent) == ("all", 30):  # neither eyes nor mouth are left
        assert none_is_found(reconstructor, part)
        return
    error = np.linalg.norm(landmarks(reconstructor, part) + origin - points, axis=1).mean()
    assert 100 * error / np.linalg.norm(points[33] - points[263]) < PERCENT


@pytest.mark.parametrize("margin", [5, 15, 30])
def test_a_picture_close_around_a_face_gives_the_same_face(reconstructor, whole, margin):
    photo, points = whole
    part, origin = cut(photo, points, "all", -margin)
    error = np.linalg.norm(landmarks(reconstructor, part) + origin - points, axis=1).mean()
    assert 100 * error / np.linalg.norm(points[33] - points[263]) < PERCENT


def test_what_the_photo_does_not_show_counts_for_no_colour(reconstructor, portrait):
    low, high = (points := landmarks(reconstructor, portrait)).min(0), points.max(0)
    part = np.ascontiguousarray(portrait[round(0.7 * low[1] + 0.3 * high[1]) :])
    view = looked_at(reconstructor, part)
    assert LEAST_SHOWN < view.shown < 0.95
    with torch.no_grad():
        confidence = reconstructor.stages.observe(view).confidence[0].numpy()
    beyond = view.screen[:, 1].numpy() < -1
    assert beyond.sum() > 1000
    assert confidence[beyond].max() == 0


def test_a_face_that_is_whole_is_left_as_it_is(reconstructor, portrait, monkeypatch):
    monkeypatch.setattr("gcnface.stages.face.find_again", None)
    assert looked_at(reconstructor, portrait).shown == 1
