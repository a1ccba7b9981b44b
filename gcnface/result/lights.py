"""Light to show a face in: named presets, and light out of a file."""

from __future__ import annotations

import difflib
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

import cv2
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from gcnface import names
from gcnface.errors import FileError, GcnfaceError, PhotoError, printable
from gcnface.io import plain_json
from gcnface.io.array_layout import RECORD_LAYOUT
from gcnface.io.arrays import opened, read_content, read_header
from gcnface.io.files import open_input
from gcnface.io.images import LARGEST_PIXELS, read_photo
from gcnface.system.isolation import plain_torch
from render.color import linear_from_srgb
from render.lighting import ambient_lighting, directional_lighting, environment_lighting
from render.shapes import check_shape


@runtime_checkable
class HasLighting(Protocol):
    """What has a light: a `Reconstruction`, or a `Light`."""

    @property
    def lighting(self) -> NDArray[np.float32]:
        """(9, 3), as `render.lighting.shade` takes it."""
        ...


LightLike: TypeAlias = "str | Path | ArrayLike | HasLighting"
"""A preset's name, a file, (9, 3) numbers, or a reconstruction whose light is taken."""

OWN = "own"
"""Stands for the light that a face has: that of its photo, unless it was changed."""

PANORAMA_MEAN = 0.9
"""Mean shading under a panorama, whose own unit of brightness is unknown; a portrait's light has about the same."""

_RADIANCE = (".hdr", ".pic")
_PANORAMAS = (*_RADIANCE, ".png", ".jpg", ".jpeg")
_RADIANCE_SIZE = re.compile(rb"\n\n-Y (\d{1,9}) \+X (\d{1,9})\n")
"""The end of a Radiance header; OpenCV reads pictures that lie in no other way."""
_RADIANCE_HEADER = 4096
_NUMBERS = (".json", ".npy", ".npz")
_LARGEST_JSON = 100_000
_LAYOUT = RECORD_LAYOUT["lighting"]
_UNREADABLE = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error),
    *(RecursionError, MemoryError, NotImplementedError, RuntimeError, SyntaxError),
)
"""What reading a file of numbers raises that holds something else; the last line is of odd archives and headers."""


class LightError(GcnfaceError):
    """A light that is not known or cannot be read."""


@dataclass(frozen=True)
class Light:
    """A named light.

    Attributes:
        summary: what it looks like, one sentence.
        lighting: (9, 3) float32, as `render.lighting.shade` takes it.
    """

    summary: str
    lighting: NDArray[np.float32]


_Rgb: TypeAlias = tuple[float, float, float]
_Lamp: TypeAlias = tuple[tuple[float, float, float], _Rgb]
"""A distant lamp: where it is, in view axes, and its linear colour."""


@plain_torch()
def _light(summary: str, ambient: _Rgb, *lamps: _Lamp) -> Light:
    """Light from everywhere, and lamps."""
    total = ambient_lighting(torch.tensor(ambient, dtype=torch.float32))[0]
    for towards, rgb in lamps:
        total = total + directional_lighting(towards, rgb)
    return Light(summary, total.numpy())


_LIGHTS = (
    _light("White light from everywhere: the albedo as it is, without any shading.", (1.0, 1.0, 1.0)),
    _light(
        "A soft key lamp above on the viewer's left, a weaker fill on the right.",
        (0.36, 0.36, 0.36),
        ((-0.55, 0.6, 0.75), (0.62, 0.61, 0.6)),
        ((0.8, 0.1, 0.6), (0.22, 0.225, 0.23)),
    ),
    _light(
        "One lamp on the viewer's left; the other half of the face lies in shadow.",
        (0.13, 0.13, 0.14),
        ((-1.0, 0.2, 0.35), (1.1, 1.08, 1.04)),
    ),
    _light(
        "One lamp on the viewer's right; the other half of the face lies in shadow.",
        (0.13, 0.13, 0.14),
        ((1.0, 0.2, 0.35), (1.1, 1.08, 1.04)),
    ),
    _light(
        "The sky at noon: light from above, the chin and the sockets of the eyes dark.",
        (0.2, 0.2, 0.21),
        ((0.0, 1.0, 0.45), (1.0, 1.0, 0.98)),
    ),
    _light(
        "A lamp below the face, as from a screen or a fire.",
        (0.12, 0.12, 0.14),
        ((0.0, -1.0, 0.7), (0.95, 0.88, 0.8)),
    ),
    _light(
        "A low orange sun on the viewer's left, a blue sky around.",
        (0.2, 0.25, 0.36),
        ((-0.85, 0.12, 0.6), (1.25, 0.66, 0.3)),
    ),
)
LIGHTS = dict(zip(names.LIGHTS, _LIGHTS, strict=True))
"""The presets by name. A face turned to the viewer under them is about as bright as its albedo."""


@plain_torch()
def lighting_of(light: LightLike) -> NDArray[np.float32]:
    """(9, 3) float32 of anything that stands for a light.

    Args:
        light: the name of a preset of `LIGHTS`; a file: JSON, .npy or .npz of (9, 3), a NAME.npz of a face whose light
            is taken, or a panorama (equirectangular, twice as wide as high; .hdr, .png, .jpg); (9, 3) numbers; or a
            `Reconstruction`.

    Raises:
        LightError: an unknown name, or a file that cannot be read or holds something else.
        ValueError: numbers of another shape, or not finite.
    """
    if isinstance(light, HasLighting):
        return light.lighting
    if isinstance(light, str | Path):
        known = LIGHTS.get(light.lower()) if isinstance(light, str) else None
        return known.lighting if known else _from_file(Path(light))
    return _checked(light, "light")


def _from_file(path: Path) -> NDArray[np.float32]:
    """The light in a file."""
    kind = path.suffix.lower()
    if kind not in (*_PANORAMAS, *_NUMBERS):
        raise LightError(_unknown(str(path)))
    if not path.exists():
        raise LightError(f"{printable(path)}: no such file; give a light's file or one of {_names()}")
    try:
        return _panorama(path) if kind in _PANORAMAS else _checked(_numbers(path), "it")
    except FileError as error:
        raise LightError(str(error)) from error
    except _UNREADABLE as error:
        what = printable(" ".join(str(error).split()))
        remedy = "a light is 9 rows of 3 numbers in JSON, .npy or .npz, or the NAME.npz of a face"
        raise LightError(f"{printable(path)}: holds no light ({what}); {remedy}") from error


def _unknown(text: str) -> str:
    """What to say of a name that is no preset's."""
    near = difflib.get_close_matches(text.lower(), [OWN, *LIGHTS], n=1)
    guess = f"did you mean {near[0]}? Known are" if near else "give one of"
    return f"light {text!r} is not known; {guess} {_names()}, or a file ({', '.join((*_NUMBERS, *_PANORAMAS))})"


def _names() -> str:
    return ", ".join((OWN, *LIGHTS))


def _numbers(path: Path) -> ArrayLike:
    """What a file of numbers holds, under ``lighting`` where it has names; nothing larger than a light is read."""
    with open_input(path, remedy="give a light's file") as file:
        if path.suffix.lower() == ".json":
            text = file.read(_LARGEST_JSON + 1)
            if len(text) > _LARGEST_JSON:
                raise ValueError(f"more than {_LARGEST_JSON} bytes")
            content = plain_json.read(text.decode("utf-8"))
            return content["lighting"] if isinstance(content, dict) else content
        if path.suffix.lower() == ".npy":
            header = read_header(file)
            check_shape("it", header, _LAYOUT.shape)
            return read_content(file, header)
        with opened(file) as archive:
            name = archive.names[0] if len(archive.names) == 1 else "lighting"
            check_shape(name, archive.header(name), _LAYOUT.shape)
            return archive.read(name)


def _checked(numbers: ArrayLike, name: str) -> NDArray[np.float32]:
    """(9, 3) float32 of numbers that a user gave."""
    lighting = np.asarray(numbers)
    check_shape(name, lighting, _LAYOUT.shape)
    return _LAYOUT.checked(name, lighting)


def _panorama(path: Path) -> NDArray[np.float32]:
    """The light of a panorama, scaled to a mean shading of `PANORAMA_MEAN`."""
    radiance = path.suffix.lower() in _RADIANCE
    rgb = _read_radiance(path) if radiance else read_photo(path)
    height, width = rgb.shape[:2]
    if abs(width - 2 * height) > 2:
        remedy = "a panorama is twice as wide as high (360 by 180 degrees)"
        raise LightError(f"{printable(path)}: is {width} x {height} px; {remedy}")
    rgb = rgb if radiance else linear_from_srgb(torch.from_numpy(rgb)).numpy()
    small = cv2.resize(rgb, (256, 128), interpolation=cv2.INTER_AREA) if height > 128 else rgb
    lighting = environment_lighting(torch.from_numpy(np.ascontiguousarray(small))).numpy()
    mean = float(lighting[0].mean() / ambient_lighting()[0, 0, 0])
    if not np.isfinite(mean) or mean <= 0:
        raise LightError(f"{printable(path)}: is black or not finite, which lights nothing; give another panorama")
    return (lighting * (PANORAMA_MEAN / mean)).astype(np.float32)


def _read_radiance(path: Path) -> NDArray[np.float32]:
    """(H, W, 3) linear RGB of a Radiance picture, the only kind of picture here that Pillow does not read."""
    remedy = "give a panorama as .hdr, .png or .jpg"
    with open_input(path, PhotoError, remedy) as file:
        content = np.frombuffer(file.read(), np.uint8)
    size = _RADIANCE_SIZE.search(content[:_RADIANCE_HEADER].tobytes())
    if size is None:
        raise PhotoError(path, "is not a picture that can be read", remedy)
    height, width = int(size[1]), int(size[2])
    if height * width > LARGEST_PIXELS:
        raise PhotoError(path, f"is too large ({width} x {height} px)", "scale it down")
    try:
        bgr = cv2.imdecode(content, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
    except cv2.error:
        bgr = None
    if bgr is None:
        raise PhotoError(path, "is not a picture that can be read", remedy)
    return np.asarray(bgr[..., ::-1], np.float32)
