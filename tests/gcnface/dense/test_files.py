"""The files of a densely aligned face, read back."""

import io
import json
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from gcnface.dense.aligned_face import OUTPUTS, depth_levels, file_names
from gcnface.dense.picture import AXIS_MM, AXIS_RGB, LARGEST_SIDE_PX, pose_picture
from gcnface.errors import OutputError
from tests.gcnface.dense_stub import PHOTO_HW, TURNED, drawn, exact_aligner, shared_model


@pytest.fixture(scope="module")
def face():
    return exact_aligner([TURNED], texture_size=64)(drawn(shared_model()[0], [TURNED]))[0]


@pytest.fixture(scope="module")
def folder(face, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    face.save(folder, "a")
    return folder


def test_all_files_and_no_other(face, folder, tmp_path):
    assert sorted(path.name for path in folder.iterdir()) == sorted(file_names("a"))
    written = face.save(tmp_path, "b", ("kpt", "texture"))
    assert [path.name for path in written] == ["b_kpt.txt", "b_kpt468.txt", "b_texture.png"]
    assert sorted(tmp_path.iterdir()) == sorted(written)


def test_points(face, folder):
    np.testing.assert_allclose(np.loadtxt(folder / "a_kpt.txt"), face.landmarks68, atol=1e-3)
    np.testing.assert_allclose(np.loadtxt(folder / "a_kpt468.txt"), face.landmarks468, atol=1e-3)


def test_pose(face, folder):
    pose = json.loads((folder / "a_pose.json").read_text())
    angles = [pose["euler_degrees"][name] for name in ("yaw", "pitch", "roll")]
    np.testing.assert_allclose(angles, (TURNED.yaw, TURNED.pitch, TURNED.roll), atol=0.1)
    np.testing.assert_allclose(pose["rotation_matrix"], TURNED.rotation, atol=2e-3)
    assert pose["scale_px_per_mm"] == pytest.approx(TURNED.scale, rel=1e-3)
    assert set(pose["meaning"]) <= set(pose)
    point = face.mesh.landmarks68[30]
    np.testing.assert_allclose(np.array(pose["photo_from_model"]) @ [*point, 1], face.landmarks68[30], atol=0.05)
    assert pose["photo_hw"] == list(PHOTO_HW)


def test_depth_is_read_back_by_what_its_json_says(face, folder):
    summary = json.loads((folder / "a_depth.json").read_text())
    levels = cv2.imread(str(folder / "a_depth.png"), cv2.IMREAD_UNCHANGED)
    assert levels.dtype == np.uint16
    depth = np.where(levels > 0, summary["near_px"] + (levels.astype(float) - 1) * summary["step_px"], np.nan)
    np.testing.assert_allclose(depth, face.depth, atol=summary["step_px"])
    assert levels.max() == 65535
    assert levels[levels > 0].min() == 1
    tip = face.landmarks68[30]
    assert depth[int(tip[1]), int(tip[0])] == pytest.approx(tip[2], abs=1.5)


def test_depth_levels_of_nothing_and_of_a_wall():
    nothing = depth_levels(np.full((3, 4), np.nan, np.float32))
    assert not nothing.levels.any()
    wall = depth_levels(np.full((3, 4), -7.5, np.float32))
    assert (wall.levels == 1).all()
    assert wall.near_px == -7.5


def test_position_map(face, folder):
    position_map = np.load(folder / "a_position_map.npy", allow_pickle=False)
    assert position_map.shape == (256, 256, 3)
    assert position_map.dtype == np.float32
    np.testing.assert_array_equal(position_map, face.position_map)


def test_texture(face, folder):
    with Image.open(folder / "a_texture.png") as picture:
        assert picture.mode == "RGBA"
        pixels = np.asarray(picture)
    np.testing.assert_allclose(pixels / 255, face.texture, atol=0.5 / 255 + 1e-6)
    assert set(np.unique(pixels[..., 3])) == {0, 255}


def test_mesh_is_a_glb_with_the_texture(face, folder):
    data = (folder / "a_mesh.glb").read_bytes()
    magic, version, length = struct.unpack_from("<III", data)
    assert (magic, version, length) == (0x46546C67, 2, len(data))
    size = struct.unpack_from("<I", data, 12)[0]
    document = json.loads(data[20 : 20 + size])
    view = document["bufferViews"][document["images"][0]["bufferView"]]
    start = 20 + size + 8 + view["byteOffset"]
    with Image.open(io.BytesIO(data[start : start + view["byteLength"]])) as picture:
        assert picture.size == (64, 64)
    position = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    assert position["count"] == len(face.vertices)
    assert 0.1 < position["max"][1] - position["min"][1] < 0.3  # metres


def overlay(face):
    return pose_picture(face.photo, face.landmarks68, face.landmarks68_visible, face.pose.photo_from_model)


def test_overlay_shows_the_photo_points_and_axes(face):
    picture = overlay(face)
    assert picture.shape == (*PHOTO_HW, 3)
    plain = np.rint(face.photo * 255).astype(np.uint8)
    changed = (picture != plain).any(2)
    assert 0.001 < changed.mean() < 0.1
    x, y = face.landmarks68[8, :2]
    assert changed[int(y), int(x)]
    start = face.landmarks68[30, :2]
    for axis, rgb in enumerate(AXIS_RGB):
        end = start + face.pose.photo_from_model[:2, axis] * AXIS_MM
        near = start + 0.9 * (end - start)
        block = picture[int(near[1]) - 2 : int(near[1]) + 3, int(near[0]) - 2 : int(near[0]) + 3].reshape(-1, 3)
        assert np.abs(block.astype(int) - rgb).max(1).min() < 30


def test_a_large_photo_is_drawn_smaller(face):
    import dataclasses

    large = dataclasses.replace(face, photo=np.zeros((40, 2 * LARGEST_SIDE_PX, 3), np.float32))
    assert overlay(large).shape == (20, LARGEST_SIDE_PX, 3)


def test_unknown_outputs_and_folders(face, tmp_path):
    with pytest.raises(ValueError, match="unknown output mask"):
        face.save(tmp_path, "a", ("kpt", "mask"))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        face.save(tmp_path / "file", "a", ("kpt",))
    assert not list(tmp_path.glob("a*"))


def test_every_output_has_files():
    assert all(file_names("x", [output]) for output in OUTPUTS)
