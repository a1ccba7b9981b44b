"""Whatever the file holds, a photo comes out upright, RGB, float; what cannot be read is named."""

import cv2
import numpy as np
import pytest
from PIL import Image

from gcnface.errors import OutputError, PhotoError
from gcnface.io.images import read_photo, write_image

HEIGHT, WIDTH = 6, 9
UPRIGHT = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
GRAY = UPRIGHT[..., 0]

STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.swapaxes(0, 1),
    6: UPRIGHT.swapaxes(0, 1)[::-1],
    7: UPRIGHT.swapaxes(0, 1)[::-1, ::-1],
    8: UPRIGHT.swapaxes(0, 1)[:, ::-1],
}
"""Pixels as stored for each value of the EXIF tag: row 0 of 6 is the picture's right side, and so on (CIPA DC-008)."""


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def saved(path, array, mode=None, **options):
    image = Image.fromarray(np.ascontiguousarray(array))
    (image.convert(mode) if mode else image).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", STORED)
def test_orientation_is_applied(tmp_path, orientation, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    path = saved(tmp_path / f"photo.{suffix}", STORED[orientation], exif=exif(orientation), **options)
    np.testing.assert_array_equal(np.rint(read_photo(path) * 255), UPRIGHT)


def test_orientation_of_a_jpeg(tmp_path):
    smooth = np.broadcast_to(np.linspace(0, 255, 64)[:, None, None], (64, 32, 3)).astype(np.uint8)
    path = saved(tmp_path / "photo.jpg", smooth.swapaxes(0, 1)[::-1], exif=exif(6), quality=95)
    np.testing.assert_allclose(read_photo(path), smooth / 255, atol=0.02)


def test_values_are_float32_in_the_unit_interval(tmp_path):
    photo = read_photo(saved(tmp_path / "photo.png", UPRIGHT))
    assert photo.dtype == np.float32
    np.testing.assert_allclose(photo, UPRIGHT / 255, atol=1e-7)


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_fills_three_channels(tmp_path, mode):
    photo = read_photo(saved(tmp_path / "photo.png", GRAY, mode))
    np.testing.assert_allclose(photo, np.repeat(GRAY[..., None], 3, 2) / 255, atol=1e-7)


def test_black_and_white_of_one_bit(tmp_path):
    bits = GRAY > 127
    photo = read_photo(saved(tmp_path / "photo.png", bits))
    np.testing.assert_array_equal(photo[..., 1], bits)


def test_transparency_is_laid_over_white(tmp_path):
    alpha = np.full((HEIGHT, WIDTH, 1), 102, np.uint8)
    photo = read_photo(saved(tmp_path / "photo.png", np.concatenate([UPRIGHT, alpha], 2)))
    np.testing.assert_allclose(photo, 0.4 * UPRIGHT / 255 + 0.6, atol=1 / 255)


def test_wholly_transparent_is_white(tmp_path):
    photo = read_photo(saved(tmp_path / "photo.png", np.zeros((HEIGHT, WIDTH, 4), np.uint8)))
    assert photo.min() == 1


def test_palette(tmp_path):
    image = Image.fromarray(UPRIGHT).quantize(HEIGHT * WIDTH)
    image.save(tmp_path / "photo.png")
    expected = np.asarray(image.convert("RGB")) / 255
    np.testing.assert_allclose(read_photo(tmp_path / "photo.png"), expected, atol=1e-6)


def test_palette_with_a_transparent_entry(tmp_path):
    image = Image.new("P", (2, 1), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "photo.gif", transparency=0)
    np.testing.assert_allclose(read_photo(tmp_path / "photo.gif"), [[[1, 1, 1], [0, 0, 1]]])


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey(tmp_path, suffix):
    wide = GRAY.astype(np.uint16) * 257
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(wide).save(path)
    np.testing.assert_allclose(read_photo(path)[..., 2], GRAY / 255, atol=1e-6)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_colour(tmp_path, suffix):
    path = tmp_path / f"photo.{suffix}"
    assert cv2.imwrite(str(path), UPRIGHT[..., ::-1].astype(np.uint16) * 257)
    np.testing.assert_allclose(read_photo(path), UPRIGHT / 255, atol=1.01 / 255)


def test_sixteen_bit_grey_turned(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.ascontiguousarray(STORED[6][..., 0]).astype(np.uint16) * 257).save(path, exif=exif(6))
    np.testing.assert_allclose(read_photo(path)[..., 0], GRAY / 255, atol=1e-6)


def test_floating_point_tiff(tmp_path):
    path = tmp_path / "photo.tif"
    Image.fromarray(GRAY.astype(np.float32) / 255).save(path)
    np.testing.assert_allclose(read_photo(path)[..., 0], GRAY / 255, atol=1e-6)


def test_cmyk(tmp_path):
    inks = np.zeros((16, 32, 4), np.uint8)
    inks[:, 16:, :3] = 255
    path = tmp_path / "photo.jpg"
    Image.fromarray(inks, "CMYK").save(path, quality=95)
    photo = read_photo(path)
    assert photo[:, :12].min() > 0.95
    assert photo[:, 20:].max() < 0.05


def test_one_pixel(tmp_path):
    assert read_photo(saved(tmp_path / "photo.png", UPRIGHT[:1, :1])).shape == (1, 1, 3)


def _truncated(folder):
    path = saved(folder / "cut.jpg", np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:900])
    return path


def _truncated_png(folder):
    path = saved(folder / "cut.png", np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:2000])
    return path


def _written(name, content):
    def write(folder):
        (folder / name).write_bytes(content)
        return folder / name

    return write


@pytest.mark.parametrize(
    "make",
    [
        _truncated,
        _truncated_png,
        _written("empty.jpg", b""),
        _written("words.jpg", b"these are words\n"),
        _written("head.png", b"\x89PNG\r\n\x1a\n"),
        _written("head.jpg", b"\xff\xd8\xff\xe0"),
        lambda folder: folder / "missing.jpg",
        lambda folder: folder,
    ],
    ids=["truncated", "truncated_png", "empty", "words", "png_head", "jpeg_head", "missing", "folder"],
)
def test_what_cannot_be_read_is_named_in_one_line(tmp_path, make):
    path = make(tmp_path)
    with pytest.raises(PhotoError) as caught:
        read_photo(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.path == path
    assert caught.value.remedy


def test_writing_and_reading_agree(tmp_path):
    path = write_image(tmp_path / "new" / "picture.png", UPRIGHT.astype(np.float32) / 255)
    np.testing.assert_array_equal(np.rint(read_photo(path) * 255), UPRIGHT)


def test_values_beyond_the_interval_are_clipped(tmp_path):
    path = write_image(tmp_path / "picture.png", np.array([[[-1.0, 0.5, 2.0]]], np.float32))
    np.testing.assert_allclose(read_photo(path), [[[0, 128 / 255, 1]]], atol=1e-6)


def test_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="file"):
        write_image(tmp_path / "file" / "picture.png", np.zeros((2, 2, 3), np.float32))
