"""The pipelines with their networks, loaded once for equal options, and the faces of a named photo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gcnface.options import ReconstructionOptions
from gcnface.photo.detection import no_face
from gcnface.photo.input import NamedPhoto, photo_sizes

if TYPE_CHECKING:
    from gcnface.multi_photo import PersonReconstructor
    from gcnface.pipeline import Reconstructor
    from gcnface.result.reconstruction import Reconstruction


class ReconstructsPhotos(Protocol):
    """What callers need of `gcnface.pipeline.Reconstructor`."""

    def __call__(self, photo: np.ndarray, *, on_stage: Callable[[str], None] | None = None) -> list[Reconstruction]:
        """The faces of one photo, largest first; none where there is no face."""
        ...


class FusesPhotos(Protocol):
    """What callers need of `gcnface.multi_photo.PersonReconstructor`."""

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
        raise no_face(name, photo)
    known = {"photo": name.name, **photo_sizes(photo, name)}
    return [replace(face, photo_names=(name.name,), provenance={**known, **face.provenance}) for face in faces]
