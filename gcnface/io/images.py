"""Pictures in and out: the one place that opens picture files, and the one that writes them.

Only the formats named here are read, and no other program is started for any. What is written says that gcnface wrote
it, so that results are not taken for photos.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError, features

from gcnface.errors import FileError, PhotoError
from gcnface.io import decoding
from gcnface.io.atomic import staged
from gcnface.io.files import open_input

LARGEST_PIXELS = 178_000_000
"""Pictures beyond this are refused before they are decoded; Pillow's own limit is little above."""

_LARGEST_OF = {"TIFF": 100_000_000, "HEIF": 100_000_000, "WEBP": 50_000_000, "AVIF": 50_000_000}
_LARGEST_PROGRESSIVE = 70_000_000
"""Decoders that take more than 5 bytes a pixel have earlier limits, so that reading none takes over 850 MB."""

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
"""What is read as a picture, by Pillow's names, beside HEIC and AVIF; MPO, as phones write it, counts as JPEG."""

_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}
_OWN_FORMATS = ("PNG", "JPEG", "WEBP")
_SOFTWARE = "gcnface"
_REMEDY = "give a JPEG, PNG, WebP, TIFF, BMP, GIF, HEIC or AVIF picture"


def read_photo(path: str | Path) -> NDArray[np.float32]:
    """Read a photo upright.

    Transparent parts are laid over white. CMYK is converted without its colour profile. Photos of more than
    `gcnface.io.decoding.DECODED_PIXELS` are reduced to that. docs/cli.md tells how floats are understood.

    Args:
        path: the file.

    Returns:
        (H, W, 3) float32 sRGB in [0, 1], EXIF orientation applied.

    Raises:
        PhotoError: there is no such file, or it is no picture, is cut off, has more than `LARGEST_PIXELS`, or pixels
            that are not finite.

    Example:
        >>> import gcnface
        >>> photo = gcnface.read_photo("examples/portrait.jpg")
        >>> photo.shape, photo.dtype
        ((1024, 1024, 3), dtype('float32'))
    """
    path = Path(path)
    with _failures_of(path), open_input(path, PhotoError, _REMEDY) as file:
        return photo_of_file(file, path)


def photo_of_file(file: BinaryIO, name: Path) -> NDArray[np.float32]:
    """As `read_photo`, of an open file or an `io.BytesIO`.

    Args:
        file: is read from its beginning.
        name: for messages.
    """
    with _failures_of(name):
        try:
            with _identified(file, name) as image:
                if not decoding.is_unsigned(image):
                    return decoding.upright_rgb(image)
        except UnidentifiedImageError:
            if not decoding.is_tiff(file):
                raise
        return decoding.tiff_by_opencv(file)


def photo_of_image(image: Image.Image, name: Path) -> NDArray[np.float32]:
    """As `read_photo`, of a PIL image, which stays as it is but that it is loaded.

    Args:
        image: of any mode.
        name: for messages.
    """
    with _failures_of(name):
        if not 0 < image.width * image.height <= LARGEST_PIXELS:
            raise PhotoError(name, f"has {image.width} x {image.height} px", f"expected 1 to {LARGEST_PIXELS} pixels")
        image.load()
        # A copy does not have what was set in the original's EXIF data, nor that of formats which are turned by Pillow.
        return decoding.upright_rgb(image.copy(), decoding.orientation(image))


@contextmanager
def open_picture(path: str | Path) -> Iterator[Image.Image]:
    """A picture that is to be read as it is: a label map, a mask.

    Yields:
        The picture, not decoded yet.

    Raises:
        PhotoError: as in `read_photo`, also while it is decoded in the block.
    """
    path = Path(path)
    with _failures_of(path), open_input(path, PhotoError, _REMEDY) as file, _identified(file, path) as image:
        yield image


def file_hw(path: Path, pixels: NDArray) -> tuple[int, int] | None:
    """Height and width of a photo in its file, where `read_photo` reduced it to `pixels` (H, W, 3); None elsewhere."""
    height, width = pixels.shape[:2]
    if height * width < 0.9 * decoding.DECODED_PIXELS:
        return None
    try:
        with open_picture(path) as image:
            stored = image.size
    except PhotoError:
        return None
    upright = next((size for size in (stored, stored[::-1]) if decoding.reduced_size(*size) == (width, height)), stored)
    return None if upright == (width, height) else upright[::-1]


def write_image(path: str | Path, rgb: NDArray[np.float32]) -> Path:
    """Write (H, W, 3) sRGB in [0, 1]; the suffix names the format. The file appears whole or not at all.

    Raises:
        OutputError: the folder cannot be written to.
    """
    path = Path(path)
    pixels = np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
    with staged(path.parent) as folder:
        save_picture(Image.fromarray(pixels), folder / path.name)
    return path


def save_picture(picture: Image.Image, file: Path | BinaryIO, kind: str | None = None, **options: int) -> None:
    """Save a picture that says in its EXIF data that gcnface wrote it.

    Args:
        picture: what to save.
        file: path, whose suffix names the format, or an open file.
        kind: Pillow's name of the format, PNG, JPEG or WEBP.
        options: of Pillow's writer for it.
    """
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = _SOFTWARE
    picture.save(file, kind, exif=exif, **options)


def is_own_picture(path: Path) -> bool:
    """Whether gcnface wrote a picture; False of what is none. Only its header is read."""
    try:
        with open_input(path) as file, Image.open(file, formats=_OWN_FORMATS) as image:
            exif = Image.Exif()
            exif.load(image.info.get("exif", b""))
            return exif.get(ExifTags.Base.Software) == _SOFTWARE
    except Exception:  # a damaged header raises anything, and is said when the photo is read
        return False


@contextmanager
def _failures_of(path: Path) -> Iterator[None]:
    """What goes wrong while a picture is read, as PhotoError; Pillow's warning of large ones is not for our limits."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    except (FileError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise PhotoError(path, "is not a picture that can be read", _REMEDY) from error
    except Image.DecompressionBombError as error:
        raise _too_large(path, f"over {LARGEST_PIXELS // 1_000_000} megapixels") from error
    except Exception as error:  # the decoders raise anything over damaged files
        what = f"cannot be read ({error or type(error).__name__})"
        raise PhotoError(path, what, "check that the file is whole and readable") from error


def _too_large(path: Path, size: str) -> PhotoError:
    return PhotoError(path, f"is too large ({size})", "scale it to 7000 px or less a side")


def _identified(file: BinaryIO, path: Path) -> Image.Image:
    """The picture in a file, not decoded yet, when it is of a known format and no larger than `LARGEST_PIXELS`."""
    formats = _formats(file, path)
    file.seek(0)
    image = Image.open(file, formats=formats)
    limit = _LARGEST_OF.get(image.format or "", LARGEST_PIXELS)
    if image.width * image.height > (_LARGEST_PROGRESSIVE if "progressive" in image.info else limit):
        raise _too_large(path, f"{image.width} x {image.height} px")
    return image


def _formats(file: BinaryIO, path: Path) -> tuple[str, ...]:
    """The formats that a file may have, with what reads them at hand."""
    head = file.read(64)
    if head[4:8] != b"ftyp":
        return FORMATS
    brands = {head[at : at + 4] for at in (8, *range(16, min(int.from_bytes(head[:4], "big"), 64), 4))}
    if brands & _AVIF_BRANDS:
        if not features.check("avif"):
            raise PhotoError(path, "is an AVIF picture, which this Pillow cannot read", "pip install --upgrade pillow")
        return ("AVIF",)
    if not brands & _HEIF_BRANDS:
        return FORMATS
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        what = "is a HEIC picture, which the package pillow-heif reads"
        raise PhotoError(path, what, "pip install pillow-heif") from error
    register_heif_opener()
    return ("HEIF",)
