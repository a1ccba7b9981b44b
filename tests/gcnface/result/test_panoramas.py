"""Panoramas as light: what is none is one line that names it, before anything large is decoded."""

import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from gcnface.result.lights import LightError, lighting_of


def png_header(width, height):
    """A PNG that says it is that large and holds nothing."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", b""), (b"IEND", b""))
    parts = (struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c)) for kind, c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def radiance_header(width, height):
    return b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n" + f"-Y {height} +X {width}\n".encode() + bytes(100)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("square.png", png_header(60000, 60000), "is too large"),
        ("wide.png", png_header(60000, 30000), "is too large"),
        ("sky.hdr", radiance_header(60000, 30000), "is too large .60000 x 30000 px."),
        ("wide.hdr", radiance_header(2**21, 2), "is not a picture that can be read"),
        ("cut.hdr", radiance_header(64, 32), "is not a picture that can be read"),
        ("words.hdr", b"words", "is not a picture that can be read"),
        ("empty.pic", b"", "is not a picture that can be read"),
        ("postscript.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n{} loop\n", "is not a picture that can be read"),
    ],
)
def test_what_is_no_panorama_is_named_in_one_line(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LightError, match=says) as caught:
        lighting_of(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)
    assert ";" in str(caught.value)


@pytest.mark.parametrize("suffix", ["png", "jpg", "hdr", "json", "npy", "npz"])
def test_a_pipe_is_no_light(tmp_path, suffix):
    os.mkfifo(tmp_path / f"a.{suffix}")
    with pytest.raises(LightError, match=rf"a\.{suffix}: is a pipe, not a file; give"):
        lighting_of(tmp_path / f"a.{suffix}")


def test_a_picture_and_its_radiance_give_one_light(tmp_path):
    srgb = np.random.default_rng(0).integers(40, 255, (32, 64, 3)).astype(np.uint8)
    Image.fromarray(srgb).save(tmp_path / "sky.png")
    linear = srgb / 255
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    cv2.imwrite(str(tmp_path / "sky.hdr"), np.ascontiguousarray(linear[..., ::-1], np.float32))
    np.testing.assert_allclose(lighting_of(tmp_path / "sky.png"), lighting_of(tmp_path / "sky.hdr"), atol=0.01)
