"""The Python interface: one call from a photo to a textured mesh."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypedDict, overload

import numpy as np

from gcnface.errors import DifferentPersonWarning
from gcnface.options import ReconstructionOptions
from gcnface.photo.input import NamedPhoto, photo_and_name, photo_sizes

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from gcnface.multi_photo import PersonReconstructor
    from gcnface.photo.input import PhotoLike
    from gcnface.pipeline import Reconstructor
    from gcnface.result.reconstruction import Reconstruction


class ReconstructsPhotos(Protocol):
    """What this module and the command line need of `gcnface.pipeline.Reconstructor`."""

    def __call__(self, photo: np.ndarray, *, on_stage: Callable[[str], None] | None = None) -> list[Reconstruction]:
        """The faces of one photo, largest first; none where there is no face."""
        ...


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


class PersonKeywords(TypedDict, total=False):
    """Options of `reconstruct_person`: fields of `gcnface.options.ReconstructionOptions`, where their defaults are."""

    device: str
    fit: bool
    texture_size: int


class PhotoKeywords(PersonKeywords, total=False):
    """Options of `reconstruct` beside ``all_faces``."""

    adapt: int


@overload
def reconstruct(
    photo: PhotoLike, *, all_faces: Literal[False] = False, **options: Unpack[PhotoKeywords]
) -> Reconstruction: ...


@overload
def reconstruct(
    photo: PhotoLike, *, all_faces: Literal[True], **options: Unpack[PhotoKeywords]
) -> list[Reconstruction]: ...


def reconstruct(
    photo: PhotoLike, *, all_faces: bool = False, **options: Unpack[PhotoKeywords]
) -> Reconstruction | list[Reconstruction]:
    """Reconstruct the largest face of a photo, or all its faces.

    The networks are loaded on the first call and kept for further calls with the same options.

    Args:
        photo: path of an image file, its content as bytes or a file object, a PIL image, an array (H, W, 3) or
            (H, W), or a torch tensor, channels first or last; see `gcnface.photo.input.photo_and_name`.
        all_faces: return a list of all faces, the largest first.
        **options: ``device`` "cpu", "cuda", "mps", where the networks run; ``fit`` False leaves out the adjustment of
            the coefficients to the photo; ``adapt`` trains the refiner on the photo itself for so many steps;
            ``texture_size`` is the side of the texture in px.

    Raises:
        PhotoError: the file cannot be read as an image.
        NoFaceError: no face is found in it.
        DeviceError: there is no such device; the message says which there are.
        ValueError: the array has another shape or type, or an option is out of its range.
        TypeError: the photo is something else, or there is no such option.
    """
    wanted = ReconstructionOptions(all_faces=all_faces, **options)
    pixels, name = photo_and_name(photo)
    faces = faces_of(load_reconstructor(wanted), pixels, name)
    return faces if all_faces else faces[0]


def reconstruct_person(photos: Sequence[PhotoLike], **options: Unpack[PersonKeywords]) -> Reconstruction:
    """Reconstruct one face from several photos of one person: one identity, and one texture of what each shows best.

    The result is posed and lit as in the first photo and has the expression it has there; the order of the others does
    not matter. Of each photo the largest face is taken.

    Args:
        photos: each as for `reconstruct`; 255 at most.
        **options: ``device``, ``fit`` and ``texture_size`` as for `reconstruct`.

    Raises:
        PhotoError: a file cannot be read as an image.
        NoFaceError: no face is found in a photo; it is named.
        DeviceError: there is no such device; the message says which there are.
        ValueError: there is no photo, an array has another shape or type, or an option is out of its range.
        TypeError: a photo is something else, a single one was given instead of a list, or there is no such option.

    Warns:
        DifferentPersonWarning: a photo seems to show someone else.
    """
    unknown = sorted(set(options) - set(PersonKeywords.__annotations__))
    if unknown:
        raise TypeError(
            f"{', '.join(unknown)} is no option of several photos; give {', '.join(PersonKeywords.__annotations__)}"
        )
    wanted = ReconstructionOptions(**options)
    if not isinstance(photos, Sequence | np.ndarray) or isinstance(photos, str | bytes):
        raise TypeError(f"photos is given as {type(photos).__name__}; expected a list of photos")
    if not len(photos):
        raise ValueError("no photo given; expected one or more of the same person")
    named = [NamedPhoto(*photo_and_name(photo, number)) for number, photo in enumerate(photos, 1)]

    def warn(doubt: str) -> None:
        warnings.warn(doubt, DifferentPersonWarning, stacklevel=4)

    return load_person_reconstructor(wanted)(named, on_doubt=warn)


def load(path: str | Path) -> Reconstruction:
    """Read a NAME.npz back; all but the photo is as it was written.

    Raises:
        GcnfaceError: the file is missing or is not one that `Reconstruction.save` wrote.
    """
    from gcnface.result.files.npz import read_npz

    return read_npz(Path(path))


@lru_cache(maxsize=2)
def load_reconstructor(options: ReconstructionOptions) -> Reconstructor:
    """The pipeline with its networks; the two used last are kept."""
    from gcnface.pipeline import Reconstructor

    return Reconstructor(options)


@lru_cache(maxsize=2)
def load_person_reconstructor(options: ReconstructionOptions) -> PersonReconstructor:
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
