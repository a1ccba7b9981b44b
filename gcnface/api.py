"""The Python interface: one call from a photo to a textured mesh."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, overload

import numpy as np

from gcnface.errors import DifferentPersonWarning
from gcnface.photo.input import photo_and_name
from render.devices import check_device

if TYPE_CHECKING:
    from gcnface.multi_photo import PersonReconstructor
    from gcnface.photo.input import PhotoLike
    from gcnface.pipeline import Reconstructor
    from gcnface.result.reconstruction import Reconstruction


class ReconstructsPhotos(Protocol):
    """What this module and the command line need of `gcnface.pipeline.Reconstructor`."""

    def __call__(self, photo: np.ndarray, *, on_stage: Callable[[str], None] | None = None) -> list[Reconstruction]:
        """The faces of one photo, largest first; none where there is no face."""
        ...


@dataclass(frozen=True)
class NamedPhoto:
    """A photo, (H, W, 3) float32 sRGB in [0, 1], and its name for messages and provenance."""

    pixels: np.ndarray
    name: Path


class FusesPhotos(Protocol):
    """What this module and the command line need of `gcnface.multi_photo.PersonReconstructor`."""

    def __call__(
        self,
        photos: Sequence[NamedPhoto],
        *,
        on_stage: Callable[[str], None] | None = None,
        on_photo: Callable[[Path], None] | None = None,
        on_doubt: Callable[[str], None] | None = None,
    ) -> Reconstruction:
        """One face of all photos, posed as in the first."""
        ...


@dataclass(frozen=True)
class Options:
    """How photos are reconstructed; equal options share loaded networks.

    Attributes:
        all_faces: every face of a photo instead of the largest.
        device: "cpu", "cuda", "cuda:1", "mps": where the networks run.
        fit: adjust the coefficients to each photo by rendering, after the regression.
        adapt: steps of refinement on the photo itself; 0 is the one forward pass.
        texture_size: side of the texture in px.
    """

    all_faces: bool = False
    device: str = "cpu"
    fit: bool = True
    adapt: int = 0
    texture_size: int = 1024

    def __post_init__(self) -> None:
        check_device(self.device)
        if self.adapt < 0:
            raise ValueError(f"adapt is {self.adapt}; expected a number of steps, 0 or more")
        if not 64 <= self.texture_size <= 8192:
            raise ValueError(f"texture_size is {self.texture_size}; expected 64 to 8192 px")


@overload
def reconstruct(
    photo: PhotoLike,
    *,
    all_faces: Literal[False] = False,
    device: str = "cpu",
    fit: bool = True,
    adapt: int = 0,
    texture_size: int = 1024,
) -> Reconstruction: ...


@overload
def reconstruct(
    photo: PhotoLike,
    *,
    all_faces: Literal[True],
    device: str = "cpu",
    fit: bool = True,
    adapt: int = 0,
    texture_size: int = 1024,
) -> list[Reconstruction]: ...


def reconstruct(
    photo: PhotoLike,
    *,
    all_faces: bool = False,
    device: str = "cpu",
    fit: bool = True,
    adapt: int = 0,
    texture_size: int = 1024,
) -> Reconstruction | list[Reconstruction]:
    """Reconstruct the largest face of a photo, or all its faces.

    The networks are loaded on the first call and kept for further calls with the same options.

    Args:
        photo: path of an image file, its content as bytes or a file object, a PIL image, an array (H, W, 3) or
            (H, W), or a torch tensor, channels first or last; see `gcnface.photo.input.photo_and_name`.
        all_faces: return a list of all faces, the largest first.
        device: "cpu", "cuda", "mps": where the networks run.
        fit: adjust the coefficients to the photo by rendering, after the regression.
        adapt: steps of refinement on the photo itself; 0 is the one forward pass.
        texture_size: side of the texture in px.

    Raises:
        PhotoError: the file cannot be read as an image.
        NoFaceError: no face is found in it.
        DeviceError: there is no such device; the message says which there are.
        ValueError: the array has another shape or type, or an option is out of its range.
        TypeError: the photo is something else.
    """
    options = Options(all_faces, device, fit, adapt, texture_size)
    pixels, name = photo_and_name(photo)
    faces = faces_of(load_reconstructor(options), pixels, name)
    return faces if all_faces else faces[0]


def reconstruct_person(
    photos: Sequence[PhotoLike],
    *,
    device: str = "cpu",
    fit: bool = True,
    texture_size: int = 1024,
) -> Reconstruction:
    """Reconstruct one face from several photos of one person: one identity, and one texture of what each shows best.

    The result is posed and lit as in the first photo and has the expression it has there; the order of the others does
    not matter. Of each photo the largest face is taken.

    Args:
        photos: each as for `reconstruct`; 255 at most.
        device: "cpu", "cuda", "mps": where the networks run.
        fit: adjust the coefficients to each photo by rendering, after the regression.
        texture_size: side of the texture in px.

    Raises:
        PhotoError: a file cannot be read as an image.
        NoFaceError: no face is found in a photo; it is named.
        DeviceError: there is no such device; the message says which there are.
        ValueError: there is no photo, an array has another shape or type, or an option is out of its range.
        TypeError: a photo is something else, or a single one was given instead of a list.

    Warns:
        DifferentPersonWarning: a photo seems to show someone else.
    """
    options = Options(device=device, fit=fit, texture_size=texture_size)
    if not isinstance(photos, Sequence | np.ndarray) or isinstance(photos, str | bytes):
        raise TypeError(f"photos is given as {type(photos).__name__}; expected a list of photos")
    if not len(photos):
        raise ValueError("no photo given; expected one or more of the same person")
    named = [NamedPhoto(*photo_and_name(photo, number)) for number, photo in enumerate(photos, 1)]

    def warn(doubt: str) -> None:
        warnings.warn(doubt, DifferentPersonWarning, stacklevel=4)

    return load_person_reconstructor(options)(named, on_doubt=warn)


def load(path: str | Path) -> Reconstruction:
    """Read a NAME.npz back; all but the photo is as it was written.

    Raises:
        GcnfaceError: the file is missing or is not one that `Reconstruction.save` wrote.
    """
    from gcnface.result.files.npz import read_npz

    return read_npz(Path(path))


@lru_cache(maxsize=2)
def load_reconstructor(options: Options) -> Reconstructor:
    """The pipeline with its networks; the two used last are kept."""
    from gcnface.pipeline import Reconstructor

    return Reconstructor(
        options.device,
        fit=options.fit,
        adapt=options.adapt,
        texture_size=options.texture_size,
        all_faces=options.all_faces,
    )


@lru_cache(maxsize=2)
def load_person_reconstructor(options: Options) -> PersonReconstructor:
    """The pipeline for several photos; it shares its networks with that for one."""
    from gcnface.multi_photo import PersonReconstructor

    return PersonReconstructor(load_reconstructor(options))


def faces_of(
    reconstructor: ReconstructsPhotos,
    photo: np.ndarray,
    name: Path,
    on_stage: Callable[[str], None] | None = None,
) -> list[Reconstruction]:
    """Run the pipeline and note the photo's name.

    Args:
        reconstructor: the pipeline.
        photo: (H, W, 3) float32 sRGB in [0, 1].
        name: of the photo, for messages and provenance.
        on_stage: called with the name of each stage as it begins.

    Raises:
        NoFaceError: there is no face.
    """
    faces = reconstructor(photo, on_stage=on_stage)
    if not faces:
        from gcnface.photo.detection import no_face

        raise no_face(name, photo)
    known = {"photo": name.name, **photo_sizes(photo, name)}
    return [replace(face, photo_names=(name.name,), provenance={**known, **face.provenance}) for face in faces]


def photo_sizes(photo: np.ndarray, name: Path) -> dict[str, list[int]]:
    """What the provenance tells of a photo's size: as it was read, and as it is in its file where it was reduced."""
    from gcnface.io.images import file_hw

    stored = file_hw(name, photo)
    return {"photo_hw": list(photo.shape[:2]), **({"file_hw": list(stored)} if stored else {})}
