"""Every way to give a photo gives the same pixels."""

import io

import cv2
import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageOps

import gcnface
from gcnface import api
from gcnface.photo.input import photo_and_name
from tests.gcnface.results import make_reconstruction

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
WIDE = PIXELS.astype(np.uint16) * 257
FLOATS = PIXELS.astype(np.float32) / 255
EXPECTED = FLOATS


def stored(kind="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind, **options)
    return buffer


class Stream:
    """A file that cannot be rewound and has no usable name, as web frameworks hand on."""

    name = 7

    def __init__(self, content):
        self.content = content

    def read(self):
        return self.content


WAYS = {
    "bytes": lambda: stored().getvalue(),
    "bytearray": lambda: bytearray(stored().getvalue()),
    "memoryview": lambda: stored().getbuffer(),
    "a file object at its end": stored,
    "a stream": lambda: Stream(stored().getvalue()),
    "a PIL image": lambda: Image.fromarray(PIXELS),
    "an opened PIL image": lambda: Image.open(stored()),
    "a PIL image with alpha": lambda: Image.fromarray(PIXELS).convert("RGBA"),
    "uint8": lambda: PIXELS,
    "uint16": lambda: WIDE,
    "float32": lambda: FLOATS,
    "float64": lambda: PIXELS / 255,
    "a transposed view": lambda: np.asfortranarray(PIXELS),
    "a tensor of uint8, channels first": lambda: torch.from_numpy(PIXELS).permute(2, 0, 1),
    "a tensor of uint8, channels last": lambda: torch.from_numpy(PIXELS),
    "a tensor with a gradient": lambda: torch.from_numpy(FLOATS).permute(2, 0, 1).requires_grad_(),
    "a tensor of float64": lambda: torch.from_numpy(PIXELS / 255),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_same_pixels(way):
    pixels, name = photo_and_name(WAYS[way]())
    assert pixels.dtype == np.float32
    assert pixels.flags.c_contiguous
    np.testing.assert_allclose(pixels, EXPECTED, atol=1e-6)
    assert str(name).startswith("the photo given as ")


@pytest.mark.parametrize("kind", [np.float16, torch.bfloat16, torch.float16])
def test_short_floats(kind):
    photo = torch.from_numpy(FLOATS).to(kind) if isinstance(kind, torch.dtype) else FLOATS.astype(kind)
    np.testing.assert_allclose(photo_and_name(photo)[0], EXPECTED, atol=4e-3)


@pytest.mark.parametrize(
    "gray", [PIXELS[..., 0], PIXELS[..., :1], torch.from_numpy(PIXELS[..., 0]), torch.from_numpy(PIXELS[..., 0])[None]]
)
def test_grey(gray):
    np.testing.assert_allclose(photo_and_name(gray)[0], np.repeat(EXPECTED[..., :1], 3, 2), atol=1e-6)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation(orientation, kind, tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    buffer = stored(kind, exif=exif, **options)
    (tmp_path / "a").write_bytes(buffer.getvalue())
    expected = gcnface.read_photo(tmp_path / "a")
    assert expected.shape == ((20, 30, 3) if orientation in (1, 3) else (30, 20, 3))
    image = Image.open(buffer)
    before = image.size
    for photo in (buffer.getvalue(), buffer, image):
        np.testing.assert_array_equal(photo_and_name(photo)[0], expected)
    if kind != "TIFF":  # those are turned by Pillow itself when they are loaded
        assert image.size == before
        assert image.getexif().get(ExifTags.Base.Orientation, 1) == orientation
    np.testing.assert_array_equal(photo_and_name(ImageOps.exif_transpose(image))[0], expected)


def test_a_tiff_of_floats_in_memory(tmp_path):
    assert cv2.imwrite(str(tmp_path / "a.tif"), FLOATS[..., ::-1].copy())
    np.testing.assert_allclose(photo_and_name((tmp_path / "a.tif").read_bytes())[0], EXPECTED, atol=1e-6)


def test_what_is_given_stays_as_it_is():
    photo = FLOATS.copy()
    photo_and_name(photo)[0][:] = 0
    assert np.array_equal(photo, FLOATS)
    image = Image.fromarray(PIXELS)
    photo_and_name(image)
    assert np.array_equal(np.asarray(image), PIXELS)


def test_files_keep_their_names(tmp_path):
    (tmp_path / "me.png").write_bytes(stored().getvalue())
    with open(tmp_path / "me.png", "rb") as file, Image.open(tmp_path / "me.png") as image:
        assert photo_and_name(file)[1] == photo_and_name(image)[1] == tmp_path / "me.png"
    assert str(photo_and_name(PIXELS, 2)[1]) == "photo 2, given as an array"


@pytest.mark.parametrize(
    ("photo", "error", "says"),
    [
        (b"", gcnface.PhotoError, "the photo given as bytes: is not a picture"),
        (stored().getvalue()[:300], gcnface.PhotoError, "the photo given as bytes: cannot be read"),
        (io.BytesIO(b"no"), gcnface.PhotoError, "the photo given as a file object: is not a picture"),
        (io.StringIO("no"), TypeError, "gives str instead of bytes; expected a path, bytes, a file opened with 'rb'"),
        (Image.new("RGB", (0, 5)), gcnface.PhotoError, "the photo given as a PIL image: has 0 x 5 px"),
        (torch.zeros(2, 3, 8, 8), ValueError, r"the photo given as a tensor has shape \(2, 3, 8, 8\); expected"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), ValueError, "the photo given as a tensor has type int64"),
        (torch.full((3, 8, 8), 2.0), ValueError, r"the photo given as a tensor has values outside \[0, 1\]"),
        (np.zeros((8, 8), bool), ValueError, "the photo given as an array has type bool"),
        (None, TypeError, "the photo is given as NoneType; expected a path, bytes"),
        ([[0.5]], TypeError, "the photo is given as list; expected"),
    ],
)
def test_what_is_no_photo_is_one_line(photo, error, says):
    with pytest.raises(error, match=f"^.*{says}") as caught:
        photo_and_name(photo)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("photos", ["a.jpg", b"", Image.new("RGB", (8, 8)), None])
def test_one_photo_is_no_list_of_photos(photos):
    with pytest.raises(TypeError, match=r"photos is given as \w+; expected a list of photos"):
        gcnface.reconstruct_person(photos)


def test_the_public_calls_take_them(monkeypatch):
    monkeypatch.setattr(api, "load_reconstructor", lambda options: lambda photo, on_stage=None: [make_reconstruction()])
    face = gcnface.reconstruct(stored().getvalue())
    assert face.provenance["photo_hw"] == [20, 30]
    monkeypatch.setattr("gcnface.dense.aligner.load_aligner", lambda *options: lambda photo, on_stage=None: [photo])
    np.testing.assert_allclose(gcnface.align(Image.fromarray(PIXELS)), EXPECTED)
    monkeypatch.setattr("gcnface.dense.flattener.Flattener", lambda *_, **__: lambda photo, name: photo)
    np.testing.assert_allclose(gcnface.flatten(torch.from_numpy(PIXELS).permute(2, 0, 1)), EXPECTED)
    monkeypatch.setattr(api, "load_person_reconstructor", lambda options: lambda photos, on_doubt: photos)
    named = gcnface.reconstruct_person([PIXELS, stored()])
    assert [str(photo.name) for photo in named] == ["photo 1, given as an array", "photo 2, given as a file object"]
