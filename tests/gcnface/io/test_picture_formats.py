"""What is read as a picture, and what is not: formats, floats, sizes, and the mark of our own pictures."""

import ast
import os
import struct
import subprocess
import sys
import zlib
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, features
from PIL.TiffImagePlugin import ImageFileDirectory_v2

import gcnface
from gcnface.errors import PhotoError
from gcnface.io import decoding
from gcnface.io.images import (
    LARGEST_PIXELS,
    file_hw,
    is_own_picture,
    open_picture,
    read_photo,
    save_picture,
    write_image,
)

ROOT = Path(__file__).parents[3]
PORTRAIT = ROOT / "tests" / "data" / "face.jpg"
SMOOTH = np.asarray(Image.open(PORTRAIT).resize((48, 40)))
RANDOM = np.random.default_rng(0).random((6, 9, 3)).astype(np.float32)


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def stored(upright):
    """Pixels as stored for each value of the EXIF tag (CIPA DC-008)."""
    rotated = upright.swapaxes(0, 1)
    rows, columns = slice(None, None, -1), (slice(None), slice(None, None, -1))
    return {
        **{1: upright, 2: upright[columns], 3: upright[rows][columns], 4: upright[rows]},
        **{5: rotated, 6: rotated[rows], 7: rotated[rows][columns], 8: rotated[columns]},
    }


# Formats ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "mean_error"),
    [
        ("a.jpg", {"format": "JPEG", "quality": 98}, 0.02),
        ("progressive.jpg", {"format": "JPEG", "quality": 98, "progressive": True}, 0.02),
        ("phone.jpg", {"format": "MPO", "quality": 98, "save_all": True}, 0.02),
        ("a.png", {"format": "PNG"}, 0),
        ("a.webp", {"format": "WEBP", "lossless": True}, 0),
        ("lossy.webp", {"format": "WEBP", "quality": 98}, 0.02),
        ("a.tif", {"format": "TIFF"}, 0),
        ("lzw.tiff", {"format": "TIFF", "compression": "tiff_lzw"}, 0),
        ("deflate.tiff", {"format": "TIFF", "compression": "tiff_adobe_deflate"}, 0),
        ("a.bmp", {"format": "BMP"}, 0),
        ("a.gif", {"format": "GIF"}, 0.03),
        ("a.ppm", {"format": "PPM"}, 0),
        ("a.avif", {"format": "AVIF", "quality": 98}, 0.02),
        ("wrong_suffix.txt", {"format": "PNG"}, 0),
    ],
)
def test_every_format_that_is_taken(tmp_path, name, options, mean_error):
    if options["format"] == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow was built without AVIF")
    if options["format"] == "MPO":
        options = {**options, "append_images": [Image.fromarray(255 - SMOOTH)]}
    Image.fromarray(SMOOTH).save(tmp_path / name, **options)
    photo = gcnface.read_photo(tmp_path / name)
    assert photo.dtype == np.float32
    assert np.abs(photo - SMOOTH / 255).mean() <= mean_error + 1e-6


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\n{} loop\n%%EOF\n"


@pytest.mark.parametrize(
    "kind", ["EPS", "endless EPS", "PDF", "ICO", "TGA", "PCX", "JPEG2000", "SGI", "DDS", "MP4", "SVG"]
)
@pytest.mark.parametrize("suffix", ["jpg", "eps"])
def test_other_formats_are_refused_and_start_no_program(tmp_path, monkeypatch, kind, suffix):
    path = tmp_path / f"a.{suffix}"
    written = {
        "endless EPS": POSTSCRIPT,
        "MP4": b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(64),
        "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    }
    if kind in written:
        path.write_bytes(written[kind])
    else:
        Image.fromarray(SMOOTH).save(path, kind)

    def started(*arguments, **options):
        raise AssertionError(f"started {arguments}")

    monkeypatch.setattr(subprocess, "Popen", started)
    with pytest.raises(PhotoError, match="is not a picture that can be read; give a JPEG"):
        read_photo(path)


def test_pipes_and_devices_are_refused(tmp_path):
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    for path, says in ((pipe, "is a pipe"), (Path("/dev/zero"), "is a device"), (tmp_path, "is a folder")):
        with pytest.raises(PhotoError, match=says):
            read_photo(path)


# HEIC ---------------------------------------------------------------------------------------------------------------


def heic(path, array, **options):
    heif = pytest.importorskip("pillow_heif", reason="HEIC needs pillow-heif")
    heif.register_heif_opener()
    Image.fromarray(np.ascontiguousarray(array)).save(path, "HEIF", quality=95, **options)
    return path


def test_heic(tmp_path):
    photo = read_photo(heic(tmp_path / "a.heic", SMOOTH))
    assert np.abs(photo - SMOOTH / 255).mean() < 0.02


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_is_turned_once(tmp_path, orientation):
    """Phones write the turn twice, as a property of the picture and into EXIF."""
    path = heic(tmp_path / "a.heic", stored(SMOOTH)[orientation], exif=exif(orientation).tobytes())
    content = path.read_bytes()
    assert (b"irot" in content or b"imir" in content) == (orientation > 1)
    photo = read_photo(path)
    assert photo.shape == SMOOTH.shape
    assert np.abs(photo - SMOOTH / 255).mean() < 0.02


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_heic_without_its_reader_says_what_to_install(tmp_path, monkeypatch, brand):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x1cftyp" + brand + b"\0\0\0\0mif1heicmiaf" + bytes(64))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(PhotoError, match=r"a\.heic: is a HEIC picture, .*; pip install pillow-heif$"):
        read_photo(tmp_path / "a.heic")


def test_avif_without_its_reader_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "a.avif").write_bytes(b"\0\0\0\x1cftypavif\0\0\0\0mif1avifmiaf" + bytes(64))
    monkeypatch.setattr("gcnface.io.images.features.check", lambda name: False)
    with pytest.raises(PhotoError, match="is an AVIF picture.*; pip install --upgrade pillow$"):
        read_photo(tmp_path / "a.avif")


def test_damaged_heic_and_avif_are_named(tmp_path):
    for brand in (b"heic", b"avif"):
        (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1" + brand + bytes(500))
        with pytest.raises(PhotoError, match=r"a\.jpg"):
            read_photo(tmp_path / "a.jpg")


# Floats -------------------------------------------------------------------------------------------------------------


def gray_tiff(path, values):
    Image.fromarray(np.asarray(values, np.float32)).save(path)
    return path


def color_tiff(path, values, orientation=1):
    """A minimal TIFF of float RGB or RGBA, which Pillow does not write."""
    height, width, channels = values.shape
    tags = ImageFileDirectory_v2()
    for tag, value in {256: width, 257: height, 258: (32,) * channels, 259: 1, 262: 2, 273: 0}.items():
        tags[tag] = value
    for tag, value in {274: orientation, 277: channels, 278: height, 279: values.nbytes, 284: 1}.items():
        tags[tag] = value
    tags[339] = (3,) * channels
    if channels == 4:
        tags[338] = 2
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + tags.tobytes(8) + values.astype("<f4").tobytes())
    return path


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("colors", [False, True])
def test_one_pixel_that_is_not_finite_is_refused(tmp_path, wrong, colors):
    values = RANDOM.copy()
    values[2, 3, 1] = wrong
    path = tmp_path / "a.tif"
    _ = color_tiff(path, values) if colors else gray_tiff(path, values[..., 1])
    with pytest.raises(PhotoError, match="some pixels are not finite numbers"):
        read_photo(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_colours_in_floats_are_read_upright(tmp_path, orientation):
    path = color_tiff(tmp_path / "a.tif", np.ascontiguousarray(stored(RANDOM)[orientation]), orientation)
    np.testing.assert_allclose(read_photo(path), RANDOM, atol=1e-6)


def test_transparent_floats_are_laid_over_white(tmp_path):
    values = np.concatenate([RANDOM, np.full((6, 9, 1), 0.25, np.float32)], axis=2)
    np.testing.assert_allclose(read_photo(color_tiff(tmp_path / "a.tif", values)), 0.25 * RANDOM + 0.75, atol=1e-5)


@pytest.mark.parametrize("scale", [255, 65535])
def test_whole_numbers_in_floats_are_8_or_16_bits(tmp_path, scale):
    values = np.rint(RANDOM * scale)
    values[0, 0] = scale
    colors = read_photo(color_tiff(tmp_path / "a.tif", values))
    gray = read_photo(gray_tiff(tmp_path / "b.tif", values[..., 0]))
    np.testing.assert_allclose(colors, values / scale, atol=1e-6)
    np.testing.assert_allclose(gray[..., 2], values[..., 0] / scale, atol=1e-6)


@pytest.mark.parametrize("bright", [1.5, 20, 1000])
@pytest.mark.parametrize("colors", [False, True])
def test_a_speck_above_one_changes_nothing_else(tmp_path, bright, colors):
    values = np.random.default_rng(1).random((50, 60, 3)).astype(np.float32)
    values[5, 5], values[6, 6] = bright, -0.5
    path = tmp_path / "a.tif"
    _ = color_tiff(path, values) if colors else gray_tiff(path, values[..., 0])
    expected = values.clip(0, 1) if colors else np.repeat(values[..., :1].clip(0, 1), 3, 2)
    np.testing.assert_allclose(read_photo(path), expected, atol=1e-6)


@pytest.mark.parametrize("exposure", [2.0, 500.0])
@pytest.mark.parametrize("colors", [False, True])
def test_linear_light_is_exposed_and_encoded(tmp_path, exposure, colors):
    """What a camera's linear light encodes to, whatever its unit."""
    encoded = np.linspace(0, 1, 3000).astype(np.float32).reshape(50, 60, 1).repeat(3, 2)
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4) * exposure
    path = tmp_path / "a.tif"
    _ = color_tiff(path, linear) if colors else gray_tiff(path, linear[..., 0])
    white = encoded.ravel()[int(0.99 * encoded.size)]
    np.testing.assert_allclose(read_photo(path), (encoded / white).clip(0, 1), atol=0.02)


# Sizes --------------------------------------------------------------------------------------------------------------


def png(path, width, height, packed=b""):
    """A PNG that says it is that large, with these packed rows."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", packed), (b"IEND", b""))
    parts = (struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c)) for kind, c in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


@pytest.mark.parametrize("hw", [(60000, 60000), (13350, 13350)])
def test_too_many_pixels_are_refused_by_the_header(tmp_path, hw):
    assert hw[0] * hw[1] > LARGEST_PIXELS
    with pytest.raises(PhotoError, match=r"is too large \(.*\); scale it to 7000 px") as caught:
        read_photo(png(tmp_path / "a.png", *hw))
    assert "bomb" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "side", "options"),
    [
        ("a.jpg", 8400, {"progressive": True}),
        ("a.webp", 7100, {}),
        ("a.tif", 10001, {}),
    ],
)
def test_formats_that_take_more_memory_have_earlier_limits(tmp_path, monkeypatch, name, side, options):
    """Told by the header: a small picture is written and its size changed in what is opened."""
    Image.fromarray(SMOOTH).save(tmp_path / name, **options)
    read_photo(tmp_path / name)
    opened = Image.open

    def huge(*arguments, **choices):
        picture = opened(*arguments, **choices)
        picture._size = (side, side)
        return picture

    monkeypatch.setattr("gcnface.io.images.Image.open", huge)
    with pytest.raises(PhotoError, match=f"is too large .{side} x {side} px."):
        read_photo(tmp_path / name)


def test_sixteen_bits_by_opencv(tmp_path):
    """What Pillow refuses is not always floats."""
    values = np.rint(RANDOM * 65535).astype(np.uint16)
    assert cv2.imwrite(str(tmp_path / "a.tif"), values[..., ::-1])
    with (tmp_path / "a.tif").open("rb") as file:
        assert decoding.is_tiff(file)
        np.testing.assert_allclose(decoding.tiff_by_opencv(file), RANDOM, atol=1e-4)


MODES = ["RGB", "L", "RGBA", "LA", "P", "1", "CMYK", "I;16", "F"]


@pytest.mark.parametrize("mode", MODES)
def test_large_pictures_are_reduced_as_pillow_reduces_them_at_once(tmp_path, monkeypatch, mode):
    """Band by band it is the same picture, whatever the mode; wide modes keep their depth."""
    monkeypatch.setattr(decoding, "DECODED_PIXELS", 20_000)
    monkeypatch.setattr(decoding, "_BAND_PIXELS", 9_000)
    source = Image.open(PORTRAIT).convert("RGB").resize((300, 260))
    if mode in ("I;16", "F"):
        gray = np.asarray(source.convert("L"), np.float32) / 255
        source = Image.fromarray(gray if mode == "F" else np.rint(gray * 65535).astype(np.uint16))
    else:
        source = source.convert(mode)
    path = tmp_path / ("a.tif" if mode in ("CMYK", "I;16", "F") else "a.png")
    source.save(path)
    monkeypatch.setattr(decoding, "DECODED_PIXELS", 10**9)
    whole = read_photo(path)
    monkeypatch.setattr(decoding, "DECODED_PIXELS", 20_000)
    reduced = read_photo(path)
    height, width = reduced.shape[:2]
    assert 0.98 * 20_000 < height * width <= 20_000
    assert width / height == pytest.approx(300 / 260, rel=0.01)
    if mode in ("I;16", "F"):
        plane = Image.fromarray(whole[..., 0]).resize((width, height), Image.Resampling.LANCZOS)
        np.testing.assert_allclose(reduced, np.asarray(plane)[..., None].repeat(3, 2).clip(0, 1), atol=1e-5)
    else:
        picture = Image.fromarray(np.rint(whole * 255).astype(np.uint8))
        expected = np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS))
        np.testing.assert_allclose(reduced * 255, expected, atol=1.01)


@pytest.mark.parametrize("orientation", [1, 6])
def test_large_jpegs_are_reduced_while_they_are_decoded(tmp_path, monkeypatch, orientation):
    rotated = Image.open(PORTRAIT).convert("RGB").resize((1200, 900))
    rotated = rotated.transpose(Image.Transpose.ROTATE_90) if orientation == 6 else rotated
    rotated.save(tmp_path / "a.jpg", quality=95, exif=exif(orientation))
    monkeypatch.setattr(decoding, "DECODED_PIXELS", 40_000)
    loaded = []
    monkeypatch.setattr(decoding, "_reduced", _spied(decoding._reduced, loaded))
    photo = read_photo(tmp_path / "a.jpg")
    assert loaded == [(300, 225) if orientation == 1 else (225, 300)]
    expected = Image.open(PORTRAIT).convert("RGB").resize((photo.shape[1], photo.shape[0]), Image.Resampling.LANCZOS)
    assert photo.shape == (173, 230, 3)
    assert np.abs(photo - np.asarray(expected) / 255).mean() < 0.02
    assert file_hw(tmp_path / "a.jpg", photo) == (900, 1200)


def _spied(function, sizes):
    def call(image, size):
        sizes.append(image.size)
        return function(image, size)

    return call


def test_the_size_in_the_file_is_told_only_of_what_was_reduced(tmp_path):
    write_image(tmp_path / "a.png", RANDOM)
    assert file_hw(tmp_path / "a.png", RANDOM) is None
    large = np.broadcast_to(np.float32(0), (5000, 5000, 3))
    assert file_hw(tmp_path / "array", large) is None
    assert file_hw(png(tmp_path / "b.png", 13000, 13000), large) == (13000, 13000)
    assert file_hw(png(tmp_path / "b.png", 5000, 5000), large) is None


PEAK = """
import resource, sys
from gcnface.io.images import read_photo
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
photo = read_photo(sys.argv[1])
print(photo.shape[0] * photo.shape[1], (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has another unit elsewhere")
def test_reading_a_large_picture_takes_no_more_than_its_pixels_and_the_result(tmp_path):
    """5 bytes for each of 49 megapixels at most, and 12 for each of 25; as floats at once it took 1.7 GB."""
    side = 7000
    packer, rows = zlib.compressobj(1), (b"\0" + b"\x80" * 3 * side) * 100
    packed = b"".join([*(packer.compress(rows) for _ in range(side // 100)), packer.flush()])
    path = png(tmp_path / "a.png", side, side, packed)
    told = subprocess.run([sys.executable, "-c", PEAK, path], check=True, capture_output=True, text=True)
    pixels, peak = (int(word) for word in told.stdout.split())
    assert pixels == decoding.DECODED_PIXELS
    assert peak < 5 * side**2 + 12 * pixels


# Our own pictures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("jpg", "RGB"), ("jpg", "L"), *((kind, mode) for kind in ("png", "webp") for mode in ("RGB", "P", "L", "RGBA"))],
)
def test_what_gcnface_writes_says_so(tmp_path, kind, mode):
    save_picture(Image.fromarray(SMOOTH).convert(mode), tmp_path / f"a.{kind}")
    assert is_own_picture(tmp_path / f"a.{kind}")
    assert read_photo(tmp_path / f"a.{kind}").shape == SMOOTH.shape


def test_other_pictures_and_other_files_do_not(tmp_path):
    tags = Image.Exif()
    tags[0x0131] = "gcnface-like 2"
    Image.fromarray(SMOOTH).save(tmp_path / "a.png", exif=tags)
    Image.fromarray(SMOOTH).save(tmp_path / "b.jpg")
    (tmp_path / "c.jpg").write_bytes(b"gcnface")
    os.mkfifo(tmp_path / "d.jpg")
    assert not any(is_own_picture(tmp_path / name) for name in ("a.png", "b.jpg", "c.jpg", "d.jpg", "missing.jpg"))


def test_a_label_map_is_opened_as_it_is(tmp_path):
    labels = np.random.default_rng(0).integers(0, 19, (60, 40), np.uint8)
    Image.fromarray(labels).save(tmp_path / "a.png")
    with open_picture(tmp_path / "a.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), labels)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:900])
    with pytest.raises(PhotoError, match=r"b\.png"), open_picture(tmp_path / "b.png") as picture:
        picture.load()


# One place ----------------------------------------------------------------------------------------------------------

OPENERS = {
    "Image.open": {"gcnface/io/images.py"},
    "cv2.imread": set(),
    "cv2.imdecode": {
        *("gcnface/io/decoding.py", "gcnface/result/lights.py"),
        *("gcnface/training/augment.py", "gcnface/training/parser_augment.py"),
        "gcnface/building/quality_samples.py",
    },
    "cv2.VideoCapture": {"gcnface/io/video.py", "gcnface/io/video_input.py", "gcnface/io/video_output.py"},
}
"""What opens pictures, and where it may; the trainings decode what they have encoded themselves."""
PICTURE_SAVERS = {"gcnface/io/images.py"}


@cache
def sources():
    found = []
    for package in ("gcnface", "render", "coarse", "refine", "benchmarks", "examples"):
        for path in sorted((ROOT / package).rglob("*.py")):
            found.append((path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))))
    return found


def test_pictures_are_opened_in_one_place():
    found = [
        f"{name}: {call}"
        for name, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        for call in [f"{node.value.id}.{node.attr}"]
        if name not in OPENERS.get(call, {name})
    ]
    assert not found, f"use gcnface.io.images.read_photo or open_picture: {found}"


def test_pictures_are_saved_in_one_place():
    """Whatever is saved straight from `Image.fromarray` or as PNG, JPEG or WebP would not carry our mark."""
    found = [
        f"{name}: {ast.unparse(node)}"
        for name, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "save"
        if name.startswith("gcnface/") and name not in PICTURE_SAVERS
        if "Image.fromarray" in ast.unparse(node.func)
        or any(isinstance(a, ast.Constant) and a.value in ("PNG", "JPEG", "WEBP") for a in node.args)
    ]
    assert not found, f"use gcnface.io.images.save_picture: {found}"
