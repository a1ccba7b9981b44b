"""Windows without a face come from pictures, surroundings and mixed pieces, and say so."""

import numpy as np
import pytest
import torch
from PIL import Image

from coarse.face_model import load_face_model
from coarse.morphable import MorphableModel
from coarse.position_map import WINDOW_PX, window_camera
from gcnface.data.faces import CANVAS_PX
from gcnface.errors import FileError
from gcnface.training.augment import Augmentation
from gcnface.training.faceless import FacelessWindows
from gcnface.training.windows import KnownFaces

STILL = Augmentation(color=0.0, gray=0.0, blur=0.0, jpeg=0.0, small=0.0)


@pytest.fixture(scope="module")
def model():
    return MorphableModel(load_face_model(), level=2)


@pytest.fixture(scope="module")
def known(model):
    """Two canvases of sixteen colors."""
    tiles = np.arange(16, dtype=np.uint8).reshape(4, 4) * 15
    middle = np.kron(tiles, np.ones((64, 64), np.uint8))[..., None].repeat(3, 2)
    canvases = np.zeros((2, CANVAS_PX, CANVAS_PX, 3), np.uint8)
    margin = (CANVAS_PX - WINDOW_PX) // 2
    canvases[:, margin:-margin, margin:-margin] = middle
    zeros = [np.zeros((2, n), np.float32) for n in (100, 52, 3, 3)]
    cameras = window_camera().px_from_cam.repeat(2, 1, 1).numpy()
    return KnownFaces(canvases, *zeros, cameras, np.zeros((2, 468, 2), np.float32), np.arange(2))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    for i, name in enumerate(("a.png", "sub/b.jpg")):
        colors = np.random.default_rng(i).integers(0, 255, (90, 120, 3), dtype=np.uint8)
        Image.fromarray(colors).save(tmp_path / name)
    return tmp_path


def drawn(windows, count=60):
    out = []
    for seed in range(count):
        torch.manual_seed(seed)
        out.append(windows[0])
    return out


def test_no_window_claims_a_face(folder, model, known):
    windows = FacelessWindows(folder, 5, model, known, STILL)
    assert len(windows) == 5
    assert len(windows.files) == 2
    for one in drawn(windows):
        assert not one.face
        assert one.image.shape == (3, WINDOW_PX, WINDOW_PX)
        assert 0 <= one.image.min()
        assert one.image.max() <= 1
        assert torch.equal(one.px_from_cam, window_camera().px_from_cam[0])


def test_a_mixed_face_has_all_pieces_in_another_order(folder, model, known):
    windows = FacelessWindows(folder, 1, model, known, STILL)
    mixed = windows._mixed(np.random.default_rng(0))
    tiles = mixed[::64, ::64, 0]
    assert sorted(tiles.flatten().tolist()) == [15 * i for i in range(16)]
    assert tiles.flatten().tolist() != [15 * i for i in range(16)]


def test_chance_repeats(folder, model, known):
    windows = FacelessWindows(folder, 1, model, known, Augmentation())
    first, again = drawn(windows, 8), drawn(windows, 8)
    assert all(torch.equal(a.image, b.image) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0].image, first[1].image)


def test_a_folder_without_pictures_is_told(tmp_path, model, known):
    with pytest.raises(FileError, match="holds no pictures"):
        FacelessWindows(tmp_path, 3, model, known, STILL)
