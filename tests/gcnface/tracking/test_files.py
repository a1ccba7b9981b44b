"""A track of a made-up head: its files, read back."""

import csv
import json
import struct
from dataclasses import replace

import numpy as np
import pytest

from coarse.held_identity import PinholeCamera
from gcnface.result.files.gltf_animation import HeadAnimation
from gcnface.tracking.filters import continuous, of_rotation_vector
from gcnface.tracking.track import Track
from tests.gcnface.results import make_head

FRAMES = 40
GAP = 20


@pytest.fixture(scope="module")
def track():
    """Seen in frames 0 to 19 and 30 to 49 of 60, turning, opening the jaw."""
    face = make_head()
    names = face.expression_names
    frames = np.concatenate([np.arange(GAP), np.arange(GAP, FRAMES) + 10])
    expression = np.zeros((FRAMES, len(names)))
    expression[:, names.index("jawOpen")] = np.linspace(0, 0.8, FRAMES)
    turns = np.stack([of_rotation_vector(np.array([0.0, a, 0.0])) for a in np.linspace(-0.5, 0.5, FRAMES)])
    rng = np.random.default_rng(0)
    return Track(
        id=3,
        frames=frames,
        seconds=frames / 30,
        trust=np.full(FRAMES, 0.9),
        rotation=continuous(turns),
        translation=np.column_stack([np.linspace(-50, 50, FRAMES), np.full(FRAMES, 20.0), np.full(FRAMES, 900.0)]),
        expression=expression,
        landmarks468=rng.uniform(0, 200, (FRAMES, 468, 3)).astype(np.float32),
        landmarks68=rng.uniform(0, 200, (FRAMES, 68, 3)).astype(np.float32),
        names=names,
        face=face,
        camera=PinholeCamera(700.0, np.array([320.0, 240.0])),
        frame_hw=(480, 640),
        video_frames=60,
        video_seconds=59 / 30,
    )


def parts(path):
    """The document and the binary chunk of a GLB."""
    data = path.read_bytes()
    length = struct.unpack("<I", data[12:16])[0]
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def values(document, binary, index):
    """(N, C) of an accessor, sparse ones filled in."""
    accessor = document["accessors"][index]
    kinds = {5126: np.float32, 5125: np.uint32, 5123: np.uint16}
    width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}[accessor["type"]]

    def read(view, kind, count):
        start = document["bufferViews"][view].get("byteOffset", 0)
        return np.frombuffer(binary, kinds[kind], count, start)

    if "bufferView" in accessor:
        return read(accessor["bufferView"], accessor["componentType"], accessor["count"] * width).reshape(-1, width)
    sparse, out = accessor["sparse"], np.zeros((accessor["count"], width), np.float32)
    rows = read(sparse["indices"]["bufferView"], sparse["indices"]["componentType"], sparse["count"])
    out[rows] = read(sparse["values"]["bufferView"], 5126, sparse["count"] * width).reshape(-1, width)
    return out


@pytest.fixture(scope="module")
def glb(track, tmp_path_factory):
    path = tmp_path_factory.mktemp("glb") / "head.glb"
    assert track.save(path) == [path]
    document, binary = parts(path)
    animation = document["animations"][0]
    curves = {}
    for channel in animation["channels"]:
        sampler = animation["samplers"][channel["sampler"]]
        times, out = (values(document, binary, sampler[end]) for end in ("input", "output"))
        curves[channel["target"]["path"]] = (times[:, 0], out, sampler["interpolation"])
        assert channel["target"]["node"] == 0
    return document, curves


def test_the_animation_is_that_of_the_track(track, glb):
    document, curves = glb
    assert set(curves) == {"weights", "rotation", "translation", "scale"}
    times, weights, how = curves["weights"]
    assert how == "LINEAR"
    assert np.allclose(times, track.seconds, atol=1e-6)
    names = document["meshes"][0]["extras"]["targetNames"]
    weights = weights.reshape(FRAMES, len(names))
    assert np.allclose(weights[:, names.index("jawOpen")], track.expression.max(1), atol=0.005)
    assert np.count_nonzero(weights) < FRAMES
    times, rotation, _ = curves["rotation"]
    assert np.allclose(rotation, np.roll(track.rotation, -1, 1), atol=1e-6)
    assert np.allclose(np.linalg.norm(rotation, axis=1), 1, atol=1e-6)
    assert np.allclose(curves["translation"][1][:, 2], -0.9, atol=1e-6)
    assert np.allclose(curves["translation"][1][:, 1], -0.02, atol=1e-6)


def test_the_weights_take_little_room(glb):
    document, _ = glb
    output = document["animations"][0]["samplers"][0]["output"]
    accessor = document["accessors"][output]
    assert accessor["count"] == FRAMES * 52
    assert accessor["sparse"]["count"] < FRAMES


def test_the_head_is_hidden_while_it_is_not_seen(track, glb):
    times, scale, how = glb[1]["scale"]
    assert how == "STEP"
    assert np.allclose(times, [0, 19 / 30, 1.0, 49 / 30], atol=1e-6)
    assert scale[:, 0].tolist() == [1, 0, 1, 0]
    assert track.shown.shape == (2, 2)


def test_a_head_that_is_always_seen_has_no_scale(track, tmp_path):
    whole = replace(track, frames=np.arange(FRAMES), seconds=np.arange(FRAMES) / 30, video_seconds=(FRAMES - 1) / 30)
    whole.save(tmp_path / "a.glb")
    document, _ = parts(tmp_path / "a.glb")
    assert {c["target"]["path"] for c in document["animations"][0]["channels"]} == {
        "weights",
        "rotation",
        "translation",
    }


def test_the_mesh_is_at_rest_and_a_camera_looks_at_it(track, glb):
    document, _ = glb
    view = document["cameras"][0]["perspective"]
    assert view["yfov"] == pytest.approx(2 * np.arctan(240 / 700))
    assert view["aspectRatio"] == pytest.approx(4 / 3)
    assert document["scenes"][0]["nodes"] == [0, 1]
    low, high = (document["accessors"][0][end] for end in ("min", "max"))
    rest = track.face.neutral().mesh.vertices * 1e-3
    assert np.allclose(low, rest.min(0), atol=1e-6)
    assert np.allclose(high, rest.max(0), atol=1e-6)


def test_trimesh_reads_it(track, tmp_path):
    trimesh = pytest.importorskip("trimesh")
    track.save(tmp_path / "a.glb")
    scene = trimesh.load(tmp_path / "a.glb")
    assert len(scene.geometry) == 1


def test_lines_of_the_table(track, tmp_path):
    track.save(tmp_path, "head", ["csv"])
    with (tmp_path / "head.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == FRAMES
    last = {name: float(value) for name, value in rows[-1].items()}
    assert last["frame"] == 49
    assert last["face"] == 3
    assert last["jawOpen"] == pytest.approx(0.8)
    assert last["yaw_deg"] == pytest.approx(np.degrees(0.5), abs=1e-3)
    assert last["x67_px"] == pytest.approx(track.landmarks68[-1, 67, 0], abs=1e-3)
    assert len(last) == 10 + 52 + 136


def test_arrays_of_the_archive(track, tmp_path):
    track.save(tmp_path, "head", ["npz"])
    with np.load(tmp_path / "head.npz") as found:
        assert np.allclose(found["expression"], track.expression, atol=1e-6)
        assert found["landmarks468_px"].shape == (FRAMES, 468, 3)
        assert np.allclose(found["axis_angle"][-1], (0, 0.5, 0), atol=1e-5)
        assert found["expression_names"].tolist() == list(track.names)
        assert np.allclose(found["euler_deg"][:, 0], np.degrees(np.linspace(-0.5, 0.5, FRAMES)), atol=1e-3)


def test_names_and_what_is_wrong_with_them(track, tmp_path):
    assert [path.name for path in track.save(tmp_path, formats=["csv", "npz"])] == ["face3.csv", "face3.npz"]
    with pytest.raises(ValueError, match="cannot be saved as .obj"):
        track.save(tmp_path / "a.obj")
    with pytest.raises(ValueError, match="unknown format obj"):
        track.save(tmp_path, "a", ["obj"])


def test_times_of_an_animation_grow():
    with pytest.raises(ValueError, match="seconds must grow"):
        HeadAnimation(
            seconds=np.array([0.0, 0.0]),
            weights=np.zeros((2, 1)),
            rotation=np.tile((0, 0, 0, 1.0), (2, 1)),
            translation=np.zeros((2, 3)),
            shown=np.array([[0.0, 0.0]]),
            end=0.0,
            yfov_rad=0.5,
            aspect=1.0,
        )
