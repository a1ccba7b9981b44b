"""From an opened picture to pixels: upright, RGB, float, of bounded size, whatever the mode."""

from __future__ import annotations

import io
import math
import mmap
import struct
from collections.abc import Iterator
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from gcnface.io.video import quiet_opencv

DECODED_PIXELS = 25_000_000
"""Photos are read with at most so many pixels; larger ones are reduced while they are read. What one camera in two
takes (24 megapixels) stays whole, and takes 300 MB as floats."""

LINEAR_SHARE = 1e-3
"""Share of the pixels above 1 up to which floats count as sRGB with a few specks, and are clipped; beyond, as light."""
WHITE_PERCENTILE = 99.0
"""Of linear light, what becomes white."""

_SAMPLE_FORMAT = 339
"""Tag of a TIFF: 1 for numbers without a sign."""
_UNKNOWN_TIFF = "its kind of TIFF is not known: save it with 8 or 16 bits a colour, or as PNG"
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_WIDE = (*_SIXTEEN_BITS, "I", "F")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets a picture upright, by its orientation in EXIF."""
_BAND_PIXELS = 1_000_000
_SAMPLE_SIDE = 1000
_RESAMPLING = Image.Resampling.LANCZOS
_SUPPORT = 3
"""How many pixels of the result Lanczos' kernel reaches to each side."""


def reduced_size(width: int, height: int) -> tuple[int, int]:
    """Width and height that a picture is read with: its own, or of the same proportions with `DECODED_PIXELS`."""
    scale = math.sqrt(DECODED_PIXELS / (width * height))
    if scale >= 1:
        return width, height
    return max(1, int(width * scale)), max(1, int(height * scale))


def orientation(image: Image.Image) -> int:
    """1 to 8 as EXIF says, 1 where it says nothing that can be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF data raise anything, and are no part of the picture
        return 1


def is_unsigned(image: Image.Image) -> bool:
    """Whether an opened picture has 32 bits without a sign, which Pillow would take for the sign."""
    return image.mode == "I" and image.format == "TIFF" and _tag(image, _SAMPLE_FORMAT, 1) == 1


def upright_rgb(image: Image.Image, rotated: int | None = None) -> NDArray[np.float32]:
    """(H, W, 3) float32 sRGB in [0, 1] of an opened picture, its orientation applied.

    Args:
        image: the picture; it is closed when its pixels are no longer needed.
        rotated: its orientation, where its own EXIF data do not tell.

    Raises:
        ValueError: some pixels are not finite.
    """
    image.draft(None, reduced_size(*image.size))  # type: ignore[arg-type]
    image.load()
    # Asked after loading, since Pillow turns TIFFs, and pillow-heif all, by itself.
    turn = _TURNS.get(orientation(image) if rotated is None else rotated)
    mode, bits, size = image.mode, min(_tag(image, ExifTags.Base.BitsPerSample, 16), 16), reduced_size(*image.size)
    plain = _plain(image) if image.size == size else _reduced(image, size)
    if plain is not image:
        image.close()  # its pixels are not needed while the floats are filled in
    return _floats(plain if turn is None else plain.transpose(turn), mode, bits)


def is_tiff(file: BinaryIO) -> bool:
    """Whether a file begins as a TIFF does."""
    file.seek(0)
    return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def tiff_by_opencv(file: BinaryIO) -> NDArray[np.float32]:
    """(H, W, 3) float32 sRGB in [0, 1] of a TIFF that Pillow does not read, such as one of colours in floats.

    Raises:
        ValueError: OpenCV does not read it either, it has more than `DECODED_PIXELS`, or some pixels are not finite.
    """
    width, height = _tiff_size(file)
    if width * height > DECODED_PIXELS:
        raise ValueError(f"{width} x {height} px are too many for colours of this depth")
    whole: memoryview | mmap.mmap
    if isinstance(file, io.BytesIO):
        whole = file.getbuffer()
    else:
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with quiet_opencv(), whole as content:
        read = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if read is None or read.dtype.kind not in "uf":
        raise ValueError(_UNKNOWN_TIFF)
    values = _opaque(np.atleast_3d(read))
    if read.dtype.kind == "u":
        return values / np.float32(_white(read.dtype))
    return _leveled(values)


def _tiff_size(file: BinaryIO) -> tuple[int, int]:
    """Width and height that a TIFF says it has.

    Raises:
        ValueError: it does not say.
    """
    file.seek(0)
    start = file.read(16)
    if start[:4] == b"MM\0+":  # Pillow's reader of directories takes it for an ordinary TIFF
        raise ValueError(_UNKNOWN_TIFF)
    try:
        header = ImageFileDirectory_v2(start if start[2] == 43 else start[:8])
        file.seek(header.next)
        header.load(file)
        return int(header[ExifTags.Base.ImageWidth]), int(header[ExifTags.Base.ImageLength])
    except (KeyError, TypeError, struct.error) as error:
        raise ValueError("its directory is cut off or damaged") from error


def _tag(image: Image.Image, number: int, default: int) -> int:
    """The first value of a TIFF's tag; the default where it has none, or is no TIFF."""
    value = getattr(image, "tag_v2", {}).get(number, default)
    return int(value[0] if isinstance(value, tuple) else value)


def _plain(image: Image.Image) -> Image.Image:
    """The picture in the mode RGB, over white; in F where it has more than 8 bits."""
    if image.mode in _WIDE:
        return image if image.mode == "F" else Image.fromarray(np.asarray(image, np.float32))
    if image.mode == "P" or image.mode in ("LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _reduced(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """`_plain` of a large picture, reduced band by band, so that only the picture itself is there as a whole."""
    width, height = size
    scale = image.height / height
    out = Image.new("F" if image.mode in _WIDE else "RGB", size)
    for first, last in _bands(width, height, step=scale * scale):
        top = max(0, math.floor((first - _SUPPORT) * scale))
        bottom = min(image.height, math.ceil((last + _SUPPORT) * scale))
        band = _plain(image.crop((0, top, image.width, bottom)))
        box = (0, first * scale - top, image.width, min(last * scale - top, bottom - top))
        out.paste(band.resize((width, last - first), _RESAMPLING, box), (0, first))
    return out


def _floats(image: Image.Image, mode: str, bits: int) -> NDArray[np.float32]:
    """(H, W, 3) sRGB in [0, 1] of a picture in RGB or F that was in `mode`; `bits` of up to 16 in one of the wide."""
    rgb = np.zeros((image.height, image.width, 3), np.float32)
    for first, last in _bands(image.width, image.height):
        band = np.asarray(image.crop((0, first, image.width, last)))
        rgb[first:last] = band[..., None] if band.ndim == 2 else band / np.float32(255)
    if mode in _SIXTEEN_BITS:
        rgb /= (1 << bits) - 1
    return _leveled(rgb) if mode in _WIDE else rgb


def _leveled(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """SRGB in [0, 1] of floats whose scale must be guessed by what they hold; `values` itself is changed.

    Up to 1 they are sRGB. Whole numbers up to 255 or 65535 are sRGB of 8 or 16 bits. Otherwise, if hardly any pixel
    lies above 1, those are clipped; if more do, it is linear light, whose `WHITE_PERCENTILE` becomes white.
    """
    if not np.isfinite(values.sum(dtype=np.float64)) or not np.isfinite(values).all():
        raise ValueError("some pixels are not finite numbers")
    largest = float(values.max(initial=0.0))
    steps = [max(1, side // _SAMPLE_SIDE) for side in values.shape[:2]]
    sample = values[:: steps[0], :: steps[1]]
    if 1 < largest <= 65535 and (sample == np.rint(sample)).all():
        values /= 255 if largest <= 255 else 65535
    elif (sample > 1).any(axis=2).mean() > LINEAR_SHARE:
        values /= float(np.percentile(sample, WHITE_PERCENTILE)) or largest
        np.clip(values, 0, 1, out=values)
        for first, last in _bands(values.shape[1], values.shape[0]):
            values[first:last] = _srgb(values[first:last])
    return np.clip(values, 0, 1, out=values)


def _srgb(linear: NDArray[np.float32]) -> NDArray[np.float32]:
    """IEC 61966-2-1, as `render.color.srgb_from_linear`."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** np.float32(1 / 2.4) - 0.055)


def _opaque(bgra: NDArray) -> NDArray[np.float32]:
    """(H, W, 3) of grey, BGR or BGRA; transparent parts over white. Whole numbers keep their scale."""
    if bgra.shape[2] < 3:
        return np.repeat(bgra[..., :1], 3, axis=2).astype(np.float32)
    rgb = np.ascontiguousarray(bgra[..., 2::-1], np.float32)
    if bgra.shape[2] == 4:
        white = np.float32(_white(bgra.dtype))
        alpha = np.asarray(bgra[..., 3:], np.float32) / white
        rgb = alpha * rgb + (1 - alpha) * white
    return rgb


def _white(dtype: np.dtype) -> float:
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype.name).max)


def _bands(width: int, height: int, step: float = 1.0) -> Iterator[tuple[int, int]]:
    """First and last row of bands of about `_BAND_PIXELS`, of which each pixel stands for `step` of another picture."""
    rows = max(1, int(_BAND_PIXELS / (width * step)))
    for first in range(0, height, rows):
        yield first, min(first + rows, height)
