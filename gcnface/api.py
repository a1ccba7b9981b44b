"""The Python interface: one call from a photo to a textured mesh."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from operator import length_hint
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, overload

import numpy as np

from gcnface.errors import DifferentPersonWarning, GcnfaceError, NoFaceError, PhotoError, printable
from gcnface.loading import faces_of, load_person_reconstructor, load_reconstructor
from gcnface.options import ReconstructionOptions
from gcnface.photo.input import NamedPhoto, photo_and_name

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from gcnface.photo.input import PhotoLike
    from gcnface.result.reconstruction import Reconstruction


class PhotoKeywords(TypedDict, total=False):
    """Options beside ``all_faces``: fields of `gcnface.options.ReconstructionOptions`, where their defaults are."""

    device: str
    detector: str
    fit: bool
    texture_size: int
    adapt: int
    min_quality: float
    force: bool


_PERSON_KEYWORDS = ("device", "detector", "fit", "texture_size", "min_quality", "force")
"""Those of them that `reconstruct_person` has."""


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
        **options: ``device`` "cpu", "cuda", "mps", where the networks run; ``detector`` "joint", "yunet" or "mtcnn",
            what finds the faces; ``fit`` False leaves out the adjustment of the coefficients to the photo; ``adapt``
            trains the refiner on the photo itself for so many steps; ``texture_size`` is the side of the texture in px;
            faces of less than ``min_quality``, 0 to 1, are refused, with ``force`` none.

    Raises:
        PhotoError: the file cannot be read as an image.
        NoFaceError: no face is found in it.
        LowQualityError: what is found cannot be believed to be a face, or to be found right.
        DeviceError: there is no such device; the message says which there are.
        ValueError: the array has another shape or type, or an option is out of its range.
        TypeError: the photo is something else, or there is no such option.

    Example:
        >>> import gcnface
        >>> face = gcnface.reconstruct("examples/portrait.jpg", texture_size=512)
        >>> face
        <Reconstruction of portrait.jpg: 42225 vertices, 52 blendshapes, texture 512 x 512 px>
        >>> [path.name for path in face.save("face.glb")]
        ['face.glb']
    """
    wanted = ReconstructionOptions(all_faces=all_faces, **options)
    pixels, name = photo_and_name(photo)
    faces = faces_of(load_reconstructor(wanted), pixels, name)
    return faces if all_faces else faces[0]


def reconstruct_many(
    photos: Iterable[PhotoLike],
    *,
    workers: int | None = None,
    cluster: str | None = None,
    all_faces: bool = False,
    **options: Unpack[PhotoKeywords],
) -> Iterator[Reconstruction | list[Reconstruction] | GcnfaceError]:
    """Reconstruct many photos, shared by several processes, and give out the faces in the order of the photos.

    A photo that cannot be done gives its error instead of a face, and the others go on. Photos are taken as workers
    get free, at most two a worker ahead of the face that was asked for last, so their number does not matter. Each
    process loads the networks once and computes with one thread, so results do not depend on how many there are.
    Scripts that use several processes keep their own calls under ``if __name__ == "__main__":``.

    Args:
        photos: any iterable; each as for `reconstruct`.
        workers: processes of this machine; 1 is this one alone, None as many as pay: one a core, but not more than
            memory holds, nor more than a sixth of the photos where they can be counted.
        cluster: address of a cluster that works instead, ``tcp://HOST:PORT`` (Dask) or ``ray://HOST:PORT`` (Ray);
            photos that are given as paths must be there under these.
        all_faces: give a list of all faces of each photo, the largest first.
        **options: as for `reconstruct`.

    Yields:
        A `Reconstruction` (with `all_faces` a list of them) or a `GcnfaceError` for each photo.

    Raises:
        ValueError: an option is out of its range, or several workers were asked for on another device than the cpu.
        TypeError: a single photo was given, or there is no such option.
        GcnfaceError: the networks cannot be loaded, or there is no such cluster.

    Example:
        >>> import gcnface
        >>> for face in gcnface.reconstruct_many(["examples/portrait.jpg", "missing.jpg"], texture_size=256):
        ...     print(face if isinstance(face, gcnface.GcnfaceError) else face.mesh.texture.shape)
        (256, 256, 3)
        missing.jpg: no such file; check the path...
    """
    from gcnface.batch.capacity import default_workers

    if isinstance(photos, str | bytes | bytearray | os.PathLike | np.ndarray):
        raise TypeError(f"photos is given as {type(photos).__name__}; expected several photos, such as a list")
    wanted = ReconstructionOptions(all_faces=all_faces, **options)
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}; expected 1 or more")
    if wanted.device != "cpu" and (workers or 1) > 1:
        raise ValueError(f"workers is {workers}; several share photos on the cpu only, the device is {wanted.device!r}")
    if workers is None:
        workers = default_workers(length_hint(photos, sys.maxsize), forked=False) if wanted.device == "cpu" else 1
    return _many(enumerate(photos, 1), _NumberedReconstructor(wanted), workers, cluster)


def _many(
    photos: Iterable[tuple[int, PhotoLike]], do: _NumberedReconstructor, workers: int, cluster: str | None
) -> Iterator[Reconstruction | list[Reconstruction] | GcnfaceError]:
    from gcnface.batch.executor import run_tasks
    from gcnface.batch.failures import reason

    tasks = photos if workers == 1 and cluster is None else map(_portable, photos)
    with closing(run_tasks(do, tasks, workers=workers, cluster=cluster)) as results:
        for result in results:
            if isinstance(result.error, _NoNetworksError):
                raise result.error
            if result.error is None or isinstance(result.error, NoFaceError | PhotoError):
                yield result.error or result.value
            else:
                error = GcnfaceError(f"{_called(*result.task)}: {reason(result.error)}")
                error.__cause__ = result.error
                yield error


class _NoNetworksError(GcnfaceError):
    """No photo can be done."""


@dataclass(frozen=True)
class _NumberedReconstructor:
    """Reconstructs a photo that is given with its number."""

    options: ReconstructionOptions

    def __call__(
        self, numbered: tuple[int, PhotoLike | NamedPhoto | Exception]
    ) -> Reconstruction | list[Reconstruction]:
        """The face of one photo, or its faces."""
        from gcnface.system.threads import single_threaded

        number, photo = numbered
        if isinstance(photo, Exception):
            raise photo
        named = photo if isinstance(photo, NamedPhoto) else NamedPhoto(*photo_and_name(photo, number))
        with single_threaded():
            try:
                reconstructor = load_reconstructor(self.options)
            except Exception as error:
                raise _NoNetworksError(f"the networks cannot be loaded ({error})") from error
            faces = faces_of(reconstructor, named.pixels, named.name)
        return faces if self.options.all_faces else faces[0]


def _portable(numbered: tuple[int, PhotoLike]) -> tuple[int, PhotoLike | NamedPhoto | Exception]:
    """A photo in a form that another process can be sent, or why there is none; open files and pictures are read."""
    number, photo = numbered
    if isinstance(photo, str | os.PathLike | bytes | bytearray | np.ndarray):
        return numbered
    try:
        return number, NamedPhoto(*photo_and_name(photo, number))
    except Exception as error:
        return number, error


def _called(number: int, photo: object) -> str:
    return printable(photo) if isinstance(photo, str | os.PathLike) else f"photo {number}"


def reconstruct_person(photos: Sequence[PhotoLike], **options: Unpack[PhotoKeywords]) -> Reconstruction:
    """Reconstruct one face from several photos of one person: one identity, and one texture of what each shows best.

    The result is posed and lit as in the first photo and has the expression it has there; the order of the others does
    not matter. Of each photo the largest face is taken.

    Args:
        photos: each as for `reconstruct`; 255 at most.
        **options: ``device``, ``detector``, ``fit``, ``texture_size``, ``min_quality`` and ``force`` as for
            `reconstruct`; a photo whose face is refused is left out.

    Raises:
        PhotoError: a file cannot be read as an image.
        NoFaceError: no face is found in a photo; it is named.
        LowQualityError: all are refused.
        DeviceError: there is no such device; the message says which there are.
        ValueError: there is no photo, an array has another shape or type, or an option is out of its range.
        TypeError: a photo is something else, a single one was given instead of a list, or there is no such option.

    Warns:
        DifferentPersonWarning: a photo seems to show someone else.
        LowQualityWarning: a photo is left out; it is named.

    Example:
        >>> import gcnface
        >>> face = gcnface.reconstruct_person(["examples/portrait.jpg", "examples/portrait.jpg"], texture_size=512)
        >>> len(face.photo_names)
        2
    """
    unknown = sorted(set(options) - set(_PERSON_KEYWORDS))
    if unknown:
        raise TypeError(f"{', '.join(unknown)} is no option of several photos; give {', '.join(_PERSON_KEYWORDS)}")
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

    Example:
        >>> import gcnface
        >>> [path.name for path in gcnface.reconstruct("examples/portrait.jpg", texture_size=512).save("face.npz")]
        ['face.npz']
        >>> gcnface.load("face.npz").mesh.vertices.shape
        (42225, 3)
    """
    from gcnface.result.files.npz import read_npz

    return read_npz(Path(path))
