"""The pipelines with their networks, loaded once for equal options, and the faces of a named photo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from gcnface.errors import LowQualityError
from gcnface.options import ReconstructionOptions
from gcnface.photo.detection import no_face
from gcnface.photo.input import photo_sizes

if TYPE_CHECKING:
    from gcnface.multi_photo import PersonReconstructor
    from gcnface.pipeline import Reconstructor
    from gcnface.result.reconstruction import Reconstruction


ReconstructsPhotos: TypeAlias = "Callable[..., list[Reconstruction]]"
"""`gcnface.pipeline.Reconstructor`, or what is called as it is."""


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
    """The faces of a photo (H, W, 3) float32 sRGB in [0, 1], its name noted in them.

    Raises:
        NoFaceError: there is no face.
        LowQualityError: none can be believed.
    """
    try:
        faces = reconstructor(photo, on_stage=on_stage)
    except LowQualityError as error:
        raise error.of(name) from None
    if not faces:
        raise no_face(name, photo)
    known = {"photo": name.name, **photo_sizes(photo, name)}
    return [replace(face, photo_names=(name.name,), provenance={**known, **face.provenance}) for face in faces]
