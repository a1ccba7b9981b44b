"""Pictures of a face in every dress: formats, modes, orientations, sizes, surroundings."""

import io
import time
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from PIL import Image, ImageCms, ImageEnhance, ImageFilter, ImageOps

from tests.fuzz.case import EITHER, SUCCEED, Random, Shelf
from tests.fuzz.faces import encoded, face, jpeg, png

PICTURES = Shelf("pictures")

_ENDINGS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif", "BMP": "bmp"}
"""The formats that gcnface says it reads."""

_OTHERS = "AVIF BLP DDS DIB EPS GIF ICNS ICO IM JPEG2000 MPO MSP PALM PCX PDF PPM QOI SGI SPIDER TGA XBM".split()
"""Those that Pillow also writes."""

_ORIENTATION = 0x0112
_UPRIGHT_FROM = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""By orientation, what a viewer undoes."""


def _as_mode(mode: str) -> Image.Image:
    """The face in a mode."""
    rgb = face()
    gray = np.asarray(rgb.convert("L"), np.float32) / 255
    if mode == "F":
        return Image.fromarray(gray)
    if mode == "I":
        return Image.fromarray(np.rint(gray * 65535).astype(np.int32))
    if mode == "I;16":
        return Image.fromarray(np.rint(gray * 65535).astype(np.uint16))
    if mode == "P":
        return rgb.quantize(64)
    if mode in ("LA", "RGBA"):
        picture = rgb.convert(mode)
        oval = Image.new("L", rgb.size, 0)
        oval.paste(255, (10, 5, 214, 219))
        picture.putalpha(oval)
        return picture
    if mode == "LAB":
        return ImageCms.profileToProfile(
            rgb, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
        )
    return rgb.convert(mode)


def _in_mode(kind: str, mode: str, options: dict, rng: Random) -> bytes:
    return encoded(_as_mode(mode), kind, **options)


_MODES = {
    "JPEG": ("RGB", "L", "CMYK", "YCbCr"),
    "PNG": ("RGB", "RGBA", "L", "LA", "P", "I;16"),
    "WEBP": ("RGB", "RGBA", "L", "P"),
    "TIFF": ("RGB", "RGBA", "L", "LA", "P", "CMYK", "LAB", "I", "I;16", "F", "YCbCr"),
    "BMP": ("RGB", "RGBA", "L", "P"),
}
for _kind, _names in _MODES.items():
    for _mode in _names:
        PICTURES.add_file(
            f"mode_{_mode.replace(';', '')}.{_ENDINGS[_kind]}", SUCCEED, partial(_in_mode, _kind, _mode, {})
        )
    PICTURES.add_file(f"mode_1.{_ENDINGS[_kind]}", EITHER, partial(_in_mode, _kind, "1", {}))


def _profile() -> bytes:
    """sRGB without the time of its making."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + bytes(12) + profile[36:]


_OPTIONS: dict[str, tuple[str, str, dict]] = {
    "quality_20.jpg": ("JPEG", "RGB", {"quality": 20}),
    "quality_100_444.jpg": ("JPEG", "RGB", {"quality": 100, "subsampling": 0}),
    "progressive.jpg": ("JPEG", "RGB", {"progressive": True, "quality": 85}),
    "restart_markers.jpg": ("JPEG", "RGB", {"restart_marker_rows": 1}),
    "profile.jpg": ("JPEG", "RGB", {"icc_profile": _profile()}),
    "profile_broken.jpg": ("JPEG", "RGB", {"icc_profile": b"no profile" * 20}),
    "comment.jpg": ("JPEG", "RGB", {"comment": b"\x1b[31m\n\0" * 9}),
    "profile_broken.png": ("PNG", "RGB", {"icc_profile": b"no profile" * 20}),
    "transparent_color.png": ("PNG", "RGB", {"transparency": (255, 255, 255)}),
    "transparent_palette.png": ("PNG", "P", {"transparency": 0}),
    "stored.png": ("PNG", "RGB", {"compress_level": 0}),
    "lossless.webp": ("WEBP", "RGB", {"lossless": True}),
    "quality_10.webp": ("WEBP", "RGB", {"quality": 10}),
    "big.tif": ("TIFF", "RGB", {"big_tiff": True}),
    "dpi_0.jpg": ("JPEG", "RGB", {"dpi": (0, 0)}),
    **{
        f"{_packing}.tif": ("TIFF", "RGB", {"compression": _packing})
        for _packing in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "lzma", "zstd")
    },
}
for _name, (_kind, _mode, _with) in _OPTIONS.items():
    PICTURES.add_file(_name, SUCCEED, partial(_in_mode, _kind, _mode, _with))
PICTURES.add_file("group4.tif", EITHER, partial(_in_mode, "TIFF", "1", {"compression": "group4"}))


def _other(kind: str, rng: Random) -> bytes:
    """The face in a format that may or may not be read."""
    picture = face().convert({"MSP": "1", "XBM": "1", "SPIDER": "F", "BLP": "P", "PALM": "P"}.get(kind, "RGB"))
    options = {"creationDate": time.gmtime(0), "modDate": time.gmtime(0)} if kind == "PDF" else {}
    return encoded(picture, kind, **options)


for _kind in _OTHERS:
    PICTURES.add_file(f"pillow_{_kind.lower()}_called.jpg", EITHER, partial(_other, _kind))


def _moving(kind: str, rng: Random) -> bytes:
    """Three frames."""
    frames = [face(), ImageOps.mirror(face()), face(photo=1)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


for _kind, _name, _what in (
    ("PNG", "moving.png", SUCCEED),
    ("WEBP", "moving.webp", SUCCEED),
    ("TIFF", "pages.tif", SUCCEED),
    ("MPO", "two_views.jpg", SUCCEED),
    ("GIF", "moving.gif", EITHER),
    ("AVIF", "moving.avif", EITHER),
):
    PICTURES.add_file(_name, _what, partial(_moving, _kind))


def _by_opencv(ending: str, convert: Callable[[np.ndarray], np.ndarray], rng: Random) -> bytes:
    """What Pillow does not write: 16 bits or floats a channel."""
    rgb = np.asarray(face(), np.float32) / 255
    return cv2.imencode(ending, np.ascontiguousarray(convert(rgb)[..., ::-1]))[1].tobytes()


def _spoilt(value: float, count: int, values: np.ndarray) -> np.ndarray:
    """Floats, some of them replaced."""
    changed = np.array(values, np.float32)
    changed.reshape(-1)[:: max(changed.size // count, 1)] = value
    return changed


def _wide(rgb: np.ndarray) -> np.ndarray:
    return np.rint(rgb * 65535).astype(np.uint16)


PICTURES.add_file("rgb16.png", SUCCEED, partial(_by_opencv, ".png", _wide))
PICTURES.add_file("rgb16.tif", SUCCEED, partial(_by_opencv, ".tif", _wide))
PICTURES.add_file("rgb_float.tif", EITHER, partial(_by_opencv, ".tif", lambda rgb: rgb))
PICTURES.add_file("rgb_float_nan.tif", EITHER, partial(_by_opencv, ".tif", partial(_spoilt, np.nan, 9)))
PICTURES.add_file("radiance.hdr", EITHER, partial(_by_opencv, ".hdr", lambda rgb: rgb))


def _gray_float(change: Callable[[np.ndarray], np.ndarray], rng: Random) -> bytes:
    return encoded(Image.fromarray(change(np.asarray(_as_mode("F")))), "TIFF")


_FLOATS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "float_one_nan": partial(_spoilt, np.nan, 1),
    "float_nans": partial(_spoilt, np.nan, 400),
    "float_all_nan": lambda gray: np.full_like(gray, np.nan),
    "float_one_inf": partial(_spoilt, np.inf, 1),
    "float_minus_inf": partial(_spoilt, -np.inf, 3),
    "float_one_bright": partial(_spoilt, 1.5, 1),
    "float_huge": partial(_spoilt, 1e30, 2),
    "float_negative": partial(_spoilt, -0.2, 5),
    "float_255": lambda gray: gray * np.float32(255),
    "float_65535": lambda gray: gray * np.float32(65535),
}
for _name, _change in _FLOATS.items():
    PICTURES.add_file(f"{_name}.tif", EITHER, partial(_gray_float, _change))


def _rotated(kind: str, orientation: int, rng: Random) -> bytes:
    """Stored as a camera stores it; upright to a viewer."""
    inverse = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    undo = inverse.get(orientation, _UPRIGHT_FROM[orientation])
    stored = face() if undo is None else face().transpose(undo)
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    return encoded(stored, kind, exif=exif.tobytes())


for _kind, _which in (("JPEG", range(1, 9)), ("PNG", (3, 6, 7)), ("WEBP", (2, 5, 8)), ("TIFF", (4, 6))):
    for _number in _which:
        PICTURES.add_file(f"orientation_{_number}.{_ENDINGS[_kind]}", SUCCEED, partial(_rotated, _kind, _number))


def _odd_exif(exif: bytes, rng: Random) -> bytes:
    return encoded(face(), "JPEG", exif=exif)


def _with_orientation(value: int) -> bytes:
    exif = Image.Exif()
    exif[_ORIENTATION] = value
    return exif.tobytes()


_EXIF = {
    "0": _with_orientation(0),
    "9": _with_orientation(9),
    "65535": _with_orientation(65535),
    "cut": _with_orientation(6)[:17],
    "empty": b"Exif\0\0",
    "garbage": b"Exif\0\0" + bytes(range(256)) * 3,
    "loop": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0",
    "text": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0six\0\0\0\0\0",
}
for _name, _exif in _EXIF.items():
    PICTURES.add_file(f"exif_{_name}.jpg", SUCCEED, partial(_odd_exif, _exif))


def _on_canvas(size: tuple[int, int], side: int, place: tuple[int, int], rng: Random) -> Image.Image:
    """A face somewhere on a grey picture."""
    canvas = Image.new("RGB", size, (120, 125, 130))
    canvas.paste(face(side), place)
    return canvas


def _tilted(degrees: float, rng: Random) -> Image.Image:
    return face(384).rotate(degrees, Image.Resampling.BICUBIC, fillcolor=(90, 90, 90))


def _lit(brightness: float, contrast: float, rng: Random) -> Image.Image:
    return ImageEnhance.Contrast(ImageEnhance.Brightness(face()).enhance(brightness)).enhance(contrast)


def _noisy(sigma: float, rng: Random) -> Image.Image:
    values = np.asarray(face(), np.float32) + rng.normal(0, sigma, (224, 224, 3))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def _cut(box: tuple[int, int, int, int], rng: Random) -> Image.Image:
    return face(384).crop(box)


def _resized(size: tuple[int, int], rng: Random) -> Image.Image:
    return face(384, 2).resize(size)


def _two(rng: Random) -> Image.Image:
    both = Image.new("RGB", (448, 224))
    both.paste(face(), (0, 0))
    both.paste(face(photo=1), (224, 0))
    return both


_SCENES: dict[str, tuple] = {
    **{f"side_{side}": (SUCCEED, partial(_resized, (side, side))) for side in (128, 200, 500, 1500, 3000)},
    **{f"side_{side}": (EITHER, partial(_resized, (side, side))) for side in (3, 11, 16, 24, 32, 48, 64)},
    **{f"tilted_{angle}": (SUCCEED, partial(_tilted, angle)) for angle in (-25, -10, 10, 25)},
    **{f"tilted_{angle}": (EITHER, partial(_tilted, angle)) for angle in (45, 90, 135, 180, -90)},
    "padded": (SUCCEED, partial(_on_canvas, (900, 700), 224, (300, 200))),
    "corner": (SUCCEED, partial(_on_canvas, (640, 480), 200, (440, 280))),
    "small_in_large": (EITHER, partial(_on_canvas, (2400, 1800), 60, (1500, 900))),
    "panorama": (EITHER, partial(_on_canvas, (6000, 300), 250, (4000, 20))),
    "column": (EITHER, partial(_on_canvas, (260, 6000), 250, (5, 3000))),
    "left_half": (EITHER, partial(_cut, (0, 0, 192, 384))),
    "upper_half": (EITHER, partial(_cut, (0, 0, 384, 200))),
    "eyes": (EITHER, partial(_cut, (100, 120, 300, 200))),
    "close": (EITHER, partial(_cut, (110, 110, 280, 290))),
    "wide": (EITHER, partial(_resized, (600, 200))),
    "high": (EITHER, partial(_resized, (200, 600))),
    "dark": (EITHER, partial(_lit, 0.15, 1.0)),
    "black_almost": (EITHER, partial(_lit, 0.02, 1.0)),
    "bright": (EITHER, partial(_lit, 2.5, 1.0)),
    "pale": (EITHER, partial(_lit, 1.0, 0.2)),
    "harsh": (EITHER, partial(_lit, 1.0, 3.0)),
    "noise_10": (SUCCEED, partial(_noisy, 10)),
    "noise_60": (EITHER, partial(_noisy, 60)),
    "mirrored": (SUCCEED, lambda rng: ImageOps.mirror(face())),
    "negative": (EITHER, lambda rng: ImageOps.invert(face())),
    "blurred": (EITHER, lambda rng: face().filter(ImageFilter.GaussianBlur(6))),
    "posterized": (EITHER, lambda rng: ImageOps.posterize(face(), 2)),
    "edges": (EITHER, lambda rng: face().filter(ImageFilter.FIND_EDGES)),
    "two_faces": (SUCCEED, _two),
}


def _scene(draw: Callable[[Random], Image.Image], rng: Random) -> bytes:
    return encoded(draw(rng), "JPEG", quality=92)


for _name, (_what, _draw) in _SCENES.items():
    PICTURES.add_file(f"{_name}.jpg", _what, partial(_scene, _draw))


def _no_suffix(rng: Random) -> bytes:
    return png()


PICTURES.add_file("no_suffix", SUCCEED, _no_suffix)
PICTURES.add_file("wrong_suffix.txt", SUCCEED, lambda rng: jpeg())
PICTURES.add_file("png_called.jpg", SUCCEED, lambda rng: png())
PICTURES.add_file("capitals.JPEG", SUCCEED, lambda rng: jpeg())
PICTURES.add_file("rubbish_behind.jpg", SUCCEED, lambda rng: jpeg() + rng.bytes(5000))
PICTURES.add_file("picture_in_zip_behind.png", SUCCEED, lambda rng: png() + b"PK\x05\x06" + bytes(18))


@PICTURES.file("thumbnail_only_exif.jpg", SUCCEED)
def _thumbnail(rng: Random) -> bytes:
    exif = Image.Exif()
    exif[0x0201], exif[0x0202] = 40, 2**31 - 1
    content = io.BytesIO()
    face().save(content, "JPEG", exif=exif.tobytes())
    return content.getvalue()
