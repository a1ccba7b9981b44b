"""Photographs in and pictures out, whatever the file: EXIF orientation, grey, palette, RGBA, 16 bits, CMYK."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from gcnface.errors import PhotoError
from gcnface.io.atomic import staged

LARGEST_PIXELS = 200_000_000
"""Photos beyond this are refused: they would not fit into memory as floats."""

_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_REMEDY = "give a JPEG, PNG, WebP, TIFF or BMP photo"


def read_photo(path: str | Path) -> NDArray[np.float32]:
    """Read a photo upright.

    Transparent parts are laid over white. CMYK is converted without its colour profile.

    Args:
        path: the file.

    Returns:
        (H, W, 3) float32 sRGB in [0, 1], EXIF orientation applied.

    Raises:
        PhotoError: there is no such file, or it is no picture, is cut off, or is larger than `LARGEST_PIXELS`.
    """
    path = Path(path)
    if path.is_dir():
        raise PhotoError(path, "is a folder, not a photo", _REMEDY)
    if not path.exists():
        raise PhotoError(path, "no such file", "check the path")
    try:
        with Image.open(path) as image:
            if image.width * image.height > LARGEST_PIXELS:
                size = f"{image.width} x {image.height} px"
                raise PhotoError(path, f"is too large ({size})", "scale it to 10000 px or less a side")
            image.load()
            return _upright_rgb(image)
    except UnidentifiedImageError as error:
        raise PhotoError(path, "is not a picture that can be read", _REMEDY) from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PhotoError(path, f"cannot be read ({error})", "check that the file is whole and readable") from error


def write_image(path: str | Path, rgb: NDArray[np.float32]) -> Path:
    """Write (H, W, 3) sRGB in [0, 1]; the suffix names the format. The file appears whole or not at all.

    Raises:
        OutputError: the folder cannot be written to.
    """
    path = Path(path)
    pixels = np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
    with staged(path.parent) as folder:
        Image.fromarray(pixels).save(folder / path.name)
    return path


def _upright_rgb(image: Image.Image) -> NDArray[np.float32]:
    image = ImageOps.exif_transpose(image)
    if image.mode in _SIXTEEN_BITS or image.mode in ("I", "F"):
        return np.repeat(_wide_grey(image)[..., None], 3, axis=2)
    if image.mode == "P":
        image = image.convert("RGBA")
    if image.mode in ("LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"), np.float32) / np.float32(255)


def _wide_grey(image: Image.Image) -> NDArray[np.float32]:
    """Grey of more than 8 bits: 16 bits are scaled as such, floats and 32 bits by what they hold."""
    values = np.asarray(image, np.float32)
    if image.mode in _SIXTEEN_BITS:
        return values / np.float32(65535)
    largest = float(values.max(initial=0.0))
    scale = 65535 if largest > 255 else 255 if largest > 1 else 1
    return np.clip(values / scale, 0, 1)
