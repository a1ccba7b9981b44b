"""Pictures whose header, rather than their pixels, is odd."""

import struct

import numpy as np
import pytest
from PIL import Image

from gcnface.errors import PhotoError
from gcnface.io.images import read_photo

WIDTH, HEIGHT = 8, 6
RAMP = np.linspace(0, 1, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH)


def gray_tiff(content, bits, order="<", big=False):
    """A TIFF of one strip of grey numbers without a sign, classic or "big"."""
    count, entry, offset = ("Q", "HHQQ", 16) if big else ("H", "HHII", 8)
    tags = {256: WIDTH, 257: HEIGHT, 258: bits, 259: 1, 262: 1, 273: offset, 277: 1, 278: HEIGHT, 279: len(content)}
    kind = 16 if big else 4
    directory = struct.pack(order + count, len(tags))
    directory += b"".join(struct.pack(order + entry, tag, kind, 1, value) for tag, value in tags.items())
    directory += struct.pack(order + ("Q" if big else "I"), 0)
    mark = b"II" if order == "<" else b"MM"
    header = struct.pack(order + "HHHQ", 43, 8, 0, offset + len(content)) if big else b""
    header = header or struct.pack(order + "HI", 42, offset + len(content))
    return mark + header + content + directory


def twelve_bits(values):
    whole = np.rint(values * 4095).astype(int).ravel()
    pairs = zip(whole[::2], whole[1::2], strict=True)
    return b"".join(bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in pairs)


def thirty_two_bits(values, order):
    return np.rint(values * (2**32 - 1)).astype(f"{order}u4").tobytes()


@pytest.mark.parametrize(
    "content",
    [
        gray_tiff(twelve_bits(RAMP), 12),
        gray_tiff(thirty_two_bits(RAMP, "<"), 32),
        gray_tiff(thirty_two_bits(RAMP, ">"), 32, ">"),
        gray_tiff(thirty_two_bits(RAMP, "<"), 32, big=True),
    ],
    ids=["12 bits", "32 bits", "32 bits, other end first", "32 bits, big"],
)
def test_grey_of_other_depths(tmp_path, content):
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    np.testing.assert_allclose(read_photo(path)[..., 0], RAMP, atol=2e-4)


@pytest.mark.parametrize("suffix", ["png", "webp", "jpg"])
@pytest.mark.parametrize("exif", [b"Exif\0\0\xff\xff\xff\xff junk", b"Exif\0\0MM\0*\0\0\0\x08\0\xff", b"II"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_data_are_no_part_of_the_picture(tmp_path, suffix, exif):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.repeat(np.rint(RAMP * 255).astype(np.uint8)[..., None], 3, 2)).save(path, exif=exif)
    np.testing.assert_allclose(read_photo(path)[..., 0], RAMP, atol=0.2)


def test_a_tiff_that_is_cut_off_says_so(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(gray_tiff(thirty_two_bits(RAMP, "<"), 32)[:150])
    with pytest.raises(PhotoError, match=r"a\.tif: .*(cut off|damaged|not a picture)"):
        read_photo(path)


def test_a_kind_of_tiff_that_is_not_known_says_what_to_do(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(gray_tiff(thirty_two_bits(RAMP, ">"), 32, ">", big=True))
    with pytest.raises(PhotoError, match="its kind of TIFF is not known: save it with 8 or 16 bits"):
        read_photo(path)
