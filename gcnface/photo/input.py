"""What a user gives as a photo, whatever it is, to the pixels that the networks see."""

from __future__ import annotations

import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing import BinaryIO, TypeAlias

    from PIL import Image
    from torch import Tensor

    PhotoLike: TypeAlias = (
        str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | np.ndarray | Tensor
    )
    """See `photo_and_name`."""

_EXPECTED = "a path, bytes, a file opened with 'rb', a PIL image, a NumPy array or a torch tensor"
_WHITE = {"uint8": 255, "uint16": 65535}


@dataclass(frozen=True)
class NamedPhoto:
    """A photo, (H, W, 3) float32 sRGB in [0, 1], and its name for messages and provenance."""

    pixels: np.ndarray
    name: Path


def photo_and_name(photo: PhotoLike, number: int | None = None) -> tuple[NDArray[np.float32], Path]:
    """(H, W, 3) float32 sRGB in [0, 1] of a photo, and its name for messages and provenance.

    Args:
        photo: a path; the content of a picture file as bytes or as a file object, read from its beginning; a PIL image,
            turned as its EXIF orientation tells; an array (H, W, 3) or (H, W) of uint8, uint16 or floats in [0, 1]; a
            tensor of these types, (3, H, W), (1, H, W), (H, W, 3) or (H, W). Colours are sRGB. It stays as it is.
        number: of the photo among several, for the name of one that has none.

    Raises:
        PhotoError: a file cannot be read as an image.
        ValueError: an array has another shape or type, or other values.
        TypeError: it is something else.
    """
    from gcnface.io.images import photo_of_file, photo_of_image, read_photo

    if isinstance(photo, str | os.PathLike):
        return read_photo(Path(photo)), Path(photo)
    if isinstance(photo, bytes | bytearray | memoryview):
        name = _name(None, "bytes", number)
        return photo_of_file(io.BytesIO(photo), name), name
    if isinstance(photo, np.ndarray):
        name = _name(None, "an array", number)
        return _of_array(photo, name, "(H, W, 3) RGB or (H, W) grey"), name
    if _is("torch", "Tensor", photo):
        name = _name(None, "a tensor", number)
        return _of_array(_rows_first(photo), name, "(3, H, W) or (H, W, 3) RGB, or (H, W) grey"), name
    if _is("PIL.Image", "Image", photo):
        name = _name(getattr(photo, "filename", None), "a PIL image", number)
        return photo_of_image(photo, name), name  # type: ignore[arg-type]
    if hasattr(photo, "read"):
        name = _name(getattr(photo, "name", None), "a file object", number)
        return photo_of_file(io.BytesIO(_content(photo)), name), name
    raise TypeError(f"the photo is given as {type(photo).__name__}; expected {_EXPECTED}")


def _name(known: object, kind: str, number: int | None) -> Path:
    """A photo's own name, or what to call one that has none."""
    if isinstance(known, str | os.PathLike) and os.fspath(known):
        return Path(os.fsdecode(known))
    return Path(f"the photo given as {kind}" if number is None else f"photo {number}, given as {kind}")


def _is(module: str, name: str, value: object) -> bool:
    """Whether a value is of a class of a module, which nobody needs to import to find out."""
    return module in sys.modules and isinstance(value, getattr(sys.modules[module], name))


def _content(file: Any) -> bytes:
    """All that a file object holds."""
    if getattr(file, "seekable", bool)():
        file.seek(0)
    content = file.read()
    if not isinstance(content, bytes):
        raise TypeError(f"the photo's file gives {type(content).__name__} instead of bytes; expected {_EXPECTED}")
    return content


def _rows_first(tensor: Any) -> np.ndarray:
    """An array of a tensor, its channels last."""
    plain = tensor.detach().cpu()
    values = (plain.float() if plain.is_floating_point() else plain).numpy()
    return np.moveaxis(values, 0, 2) if values.ndim == 3 and values.shape[0] in (1, 3) else values


def _of_array(values: np.ndarray, name: Path, expected: str) -> NDArray[np.float32]:
    """(H, W, 3) float32 in [0, 1] of numbers (H, W, 3), (H, W, 1) or (H, W)."""
    gray = values.ndim == 2 or (values.ndim == 3 and values.shape[2] == 1)
    if values.size == 0 or not (gray or (values.ndim == 3 and values.shape[2] == 3)):
        raise ValueError(f"{name} has shape {values.shape}; expected {expected}")
    white = _WHITE.get(values.dtype.name, 1)
    if white == 1 and values.dtype.kind != "f":
        raise ValueError(f"{name} has type {values.dtype}; expected uint8, uint16, or floats in [0, 1]")
    if white == 1 and not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"{name} has values outside [0, 1]; expected sRGB in [0, 1], uint8 or uint16")
    rgb = np.array(values, np.float32, order="C").reshape(*values.shape[:2], -1)
    rgb /= white
    return np.repeat(rgb, 3, axis=2) if gray else rgb


def photo_sizes(photo: np.ndarray, name: Path) -> dict[str, list[int]]:
    """What the provenance tells of a photo's size: as it was read, and as it is in its file where it was reduced."""
    from gcnface.io.images import file_hw

    stored = file_hw(name, photo)
    return {"photo_hw": list(photo.shape[:2]), **({"file_hw": list(stored)} if stored else {})}
