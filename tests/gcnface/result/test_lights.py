import io
import json
import os
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from gcnface.errors import GcnfaceError
from gcnface.result.lights import LIGHTS, PANORAMA_MEAN, LightError, lighting_of
from render.lighting import shade
from tests.gcnface.results import make_reconstruction

NUMBERS = np.arange(27).reshape(9, 3) / 10


def shading(lighting, *normals):
    return shade(torch.from_numpy(np.array([normals], np.float32)), torch.from_numpy(lighting)[None])[0].numpy()


@pytest.mark.parametrize("name", LIGHTS)
def test_presets_are_light_that_a_scene_can_have(name):
    light = LIGHTS[name]
    normals = np.random.default_rng(0).normal(size=(500, 3))
    shaded = shading(light.lighting, *(normals / np.linalg.norm(normals, axis=1, keepdims=True)))
    assert light.lighting.shape == (9, 3)
    assert light.summary.endswith(".")
    assert shaded.min() > 0
    assert 0.9 < shaded.max() < 1.7
    assert np.array_equal(lighting_of(name.upper()), light.lighting)


def test_lamps_stand_where_their_names_say():
    left, right, up, down = (-1, 0, 0), (1, 0, 0), (0, 1, 0), (0, -1, 0)
    for name, bright, dark in (
        ("left", left, right),
        ("right", right, left),
        ("top", up, down),
        ("below", down, up),
        ("sunset", left, right),
    ):
        one, other = shading(LIGHTS[name].lighting, bright, dark)
        assert one[0] > 3 * other[0], name
    assert np.allclose(shading(LIGHTS["ambient"].lighting, left, up, (0, 0, 1)), 1, atol=1e-6)
    sun, sky = shading(LIGHTS["sunset"].lighting, left, right)
    assert sun[0] > sun[2]
    assert sky[2] > sky[0]


@pytest.mark.parametrize("name", ["a.json", "b.json", "a.npy", "a.npz", "b.npz", "face.npz"])
def test_files_of_numbers(tmp_path, name):
    path, expected = tmp_path / name, NUMBERS
    if name == "a.json":
        path.write_text(json.dumps(NUMBERS.tolist()))
    elif name == "b.json":
        path.write_text(json.dumps({"name": "x", "lighting": NUMBERS.tolist()}))
    elif name == "a.npy":
        np.save(path, NUMBERS)
    elif name == "a.npz":
        np.savez(path, anything=NUMBERS)
    elif name == "b.npz":
        np.savez(path, other=np.zeros(3), lighting=NUMBERS)
    else:
        make_reconstruction().save(tmp_path, "face", ["npz"])
        expected = make_reconstruction().lighting
    assert np.allclose(lighting_of(path), expected)
    assert np.allclose(lighting_of(str(path)), expected)


def test_numbers_and_faces():
    assert lighting_of(NUMBERS.tolist()).dtype == np.float32
    face = make_reconstruction()
    assert lighting_of(face) is face.lighting
    with pytest.raises(ValueError, match=r"\(27,\); expected \(9, 3\)"):
        lighting_of(np.zeros(27))
    with pytest.raises(ValueError, match="not finite"):
        lighting_of(np.full((9, 3), np.nan))


def test_a_panorama(tmp_path):
    """Bright in front of the face: the viewer's side is lit; its own unit of brightness is taken out."""
    picture = np.full((64, 128, 3), 10, np.uint8)
    picture[20:44, 44:84] = 250
    Image.fromarray(picture).save(tmp_path / "room.png")
    lighting = lighting_of(tmp_path / "room.png")
    front, back = shading(lighting, (0, 0, 1), (0, 0, -1))
    assert front[0] > 5 * back[0]
    normals = np.random.default_rng(0).normal(size=(5000, 3))
    shaded = shading(lighting, *(normals / np.linalg.norm(normals, axis=1, keepdims=True)))
    assert shaded.mean() == pytest.approx(PANORAMA_MEAN, rel=0.05)


def test_a_radiance_panorama_is_read_linear_and_in_rgb(tmp_path):
    import cv2

    radiance = np.zeros((32, 64, 3), np.float32)
    radiance[..., 0], radiance[:, 22:42, 0] = 2.0, 50.0
    cv2.imwrite(str(tmp_path / "sky.hdr"), np.ascontiguousarray(radiance[..., ::-1]))
    front = shading(lighting_of(tmp_path / "sky.hdr"), (0, 0, 1))[0]
    assert front[0] > 1
    assert np.allclose(front[1:], 0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("studoi", None, "did you mean studio"),
        ("missing.json", None, "no such file"),
        ("light.txt", "1 2 3", "is not known"),
        ("a.json", "[1, 2", "holds no light"),
        ("b.json", "{}", "lighting"),
        ("c.json", "[[1, 2, 3]]", r"\(1, 3\)"),
        ("d.npy", "none", "holds no light"),
        ("e.npz", "none", "holds no light"),
        ("f.png", "none", "not a picture"),
        ("square.png", (64, 64), "twice as wide"),
        ("black.png", (64, 128), "black"),
    ],
)
def test_what_is_no_light_is_one_line_with_a_remedy(tmp_path, name, content, says):
    path = tmp_path / name
    if isinstance(content, tuple):
        Image.fromarray(np.zeros((*content, 3), np.uint8)).save(path)
    elif content is not None:
        path.write_text(content)
    with pytest.raises(GcnfaceError, match=says) as caught:
        lighting_of(str(path) if "." in name else name)
    assert "\n" not in str(caught.value)


def archive(**arrays):
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def array_file(array):
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    return content.getvalue()


def claiming(shape):
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def bomb():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("lighting.npy", claiming("(1000000, 3)") + bytes(12_000_000))
    return content.getvalue()


def encrypted():
    content = bytearray(archive(lighting=NUMBERS))
    content[content.find(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


BAD = {
    "deep.json": b"[" * 100_000,
    "deeper.json": b'{"lighting": ' * 100 + b"1" + b"}" * 100,
    "huge.json": b" " * 5_000_000,
    "nan.json": json.dumps([[float("nan")] * 3] * 9).encode(),
    "infinite.json": json.dumps([[1e999] * 3] * 9).encode(),
    "large.json": json.dumps([[1e9] * 3] * 9).encode(),
    "digits.json": b"[[" + b"9" * 5000 + b"]]",
    "whole.json": json.dumps([[10**400] * 3] * 9).encode(),
    "text.json": json.dumps([["1"] * 3] * 9).encode(),
    "null.json": b"null",
    "ragged.json": b"[[1, 2, 3], [1]]",
    "other.json": b'{"light": 1}',
    "latin.json": b'{"lighting": "\xe9"}',
    "utf16.json": "[1]".encode("utf-16"),
    "empty.json": b"",
    "flat.npy": array_file(np.zeros(27)),
    "pickle.npy": array_file(np.array([{}], object)),
    "nan.npy": array_file(np.full((9, 3), np.nan)),
    "text.npy": array_file(np.full((9, 3), "a")),
    "claims.npy": claiming("(1000000000, 1000)"),
    "short.npy": claiming("(9, 3)"),
    "long.npy": claiming("(9, 3)") + bytes(200),
    "brackets.npy": b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535,
    "shape.npz": archive(lighting=np.zeros((3, 9))),
    "none.npz": archive(a=NUMBERS, b=NUMBERS),
    "bomb.npz": bomb(),
    "encrypted.npz": encrypted(),
    "empty.npz": b"",
}


@pytest.mark.parametrize("name", BAD)
def test_files_that_only_look_like_a_light_are_one_line(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(BAD[name])
    with pytest.raises(LightError) as caught:
        lighting_of(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: holds no light (")
    assert message.endswith("a light is 9 rows of 3 numbers in JSON, .npy or .npz, or the NAME.npz of a face")
    assert "\n" not in message
    assert len(message) < 500


@pytest.mark.parametrize("name", ["a.json", "a.npy", "a.npz", "a.hdr", "a.png"])
@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_a_light_that_is_no_file_does_not_block(tmp_path, name, kind):
    path = tmp_path / name
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    with pytest.raises(LightError, match=f"{name}: is a {kind}, not a file"):
        lighting_of(path)


@pytest.mark.parametrize("change", [np.asfortranarray, lambda a: a.astype(">f4"), lambda a: a.astype(np.float64)])
def test_numbers_come_in_any_order(tmp_path, change):
    np.save(tmp_path / "a.npy", change(NUMBERS))
    assert np.allclose(lighting_of(tmp_path / "a.npy"), NUMBERS)


def test_terminal_codes_in_a_name_are_shown(tmp_path):
    for name in ("\x1b[31m.json", "\x1b[31m.hdr"):
        (tmp_path / name).write_text("{")
        with pytest.raises(LightError) as caught:
            lighting_of(tmp_path / name)
        assert "\x1b" not in str(caught.value)
