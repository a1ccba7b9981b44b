"""`gcnface.reconstruct_many`: order, errors as values, few photos ahead, the same faces by any number of workers."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gcnface
from gcnface import api
from tests.gcnface.results import make_reconstruction

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def stub(monkeypatch):
    """Networks that find as many faces as the photo is tens of pixels wide, none in one of 5 px, and fail at 66 px."""

    def reconstructor(photo, *, on_stage=None):
        width = photo.shape[1]
        if width == 66:
            raise RuntimeError("a fault")
        return [make_reconstruction()] * (width // 10)

    monkeypatch.setattr(api, "load_reconstructor", lambda options: reconstructor)


def gray(width):
    return np.full((20, width, 3), 99, np.uint8)


def test_every_kind_of_photo_in_order_and_errors_as_values(stub, tmp_path):
    Image.fromarray(gray(20)).save(tmp_path / "a.png")
    photos = (photo for photo in ("missing.jpg", tmp_path / "a.png", gray(10), gray(5), gray(66), 7, gray(30)))
    found = list(gcnface.reconstruct_many(photos, workers=1))
    assert [isinstance(one, gcnface.Reconstruction) for one in found] == [False, True, True, False, False, False, True]
    assert found[1].photo_names == ("a.png",)
    assert found[2].photo_names == ("photo 3, given as an array",)
    assert [type(found[place]).__name__ for place in (0, 3, 4, 5)] == [
        "PhotoError",
        "NoFaceError",
        "GcnfaceError",
        "GcnfaceError",
    ]
    assert str(found[4]) == "photo 5: RuntimeError: a fault"
    assert "given as int" in str(found[5])


def test_all_faces_gives_lists(stub):
    found = list(gcnface.reconstruct_many([gray(30), gray(10)], workers=1, all_faces=True))
    assert [len(faces) for faces in found] == [3, 1]


def test_photos_are_taken_when_they_are_needed(stub):
    taken = []
    faces = gcnface.reconstruct_many((taken.append(n) or gray(10) for n in range(9)), workers=1)
    assert not taken
    next(faces)
    assert len(taken) == 1


def test_networks_that_cannot_be_loaded_end_it(monkeypatch):
    def fail(options):
        raise gcnface.WeightsError("x.safetensors", "is missing", "put it there")

    monkeypatch.setattr(api, "load_reconstructor", fail)
    with pytest.raises(gcnface.GcnfaceError, match="networks cannot be loaded"):
        list(gcnface.reconstruct_many([gray(10)], workers=1))


def test_wrong_calls_are_refused_at_once():
    for one in ("a.jpg", b"jpeg", Path("a.jpg"), gray(10)):
        with pytest.raises(TypeError, match="expected several photos"):
            gcnface.reconstruct_many(one)
    with pytest.raises(ValueError, match="texture_size"):
        gcnface.reconstruct_many([], texture_size=3)
    with pytest.raises(ValueError, match="workers"):
        gcnface.reconstruct_many([], workers=0)
    with pytest.raises(TypeError, match="smile"):
        gcnface.reconstruct_many([], smile=True)
    assert list(gcnface.reconstruct_many([])) == []


@pytest.mark.slow
def test_two_processes_find_what_one_finds():
    content = (DATA / "glasses.jpg").read_bytes()
    how = {"fit": False, "texture_size": 64}

    def photos():
        yield DATA / "face.jpg"
        yield io.BytesIO(content)
        yield Image.open(DATA / "face.jpg")
        yield "missing.jpg"

    alone = list(gcnface.reconstruct_many(photos(), workers=1, **how))
    shared = list(gcnface.reconstruct_many(photos(), workers=2, **how))
    assert str(alone.pop()) == str(shared.pop())
    for one, other in zip(alone, shared, strict=True):
        assert one.photo_names == other.photo_names
        np.testing.assert_array_equal(one.mesh.vertices, other.mesh.vertices)
        np.testing.assert_array_equal(one.mesh.texture, other.mesh.texture)
