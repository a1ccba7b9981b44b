"""Pictures of every measured photo, for the pages of the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from coarse.face_model import FaceModel
from gcnface.evaluation.photo_evaluator import EvaluatedPhoto
from gcnface.evaluation.records import FittedPhoto, MethodResult, RenderedHead
from gcnface.evaluation.rendering import HeadRenderer
from gcnface.io.atomic import staged
from gcnface.io.images import save_picture
from render.lighting import ambient_lighting, sh_basis, shade

FOLDER = "pictures"
"""Inside the folder of the report."""
PICTURE_PX = 192
BACKGROUND = (0.90, 0.895, 0.885)
"""sRGB of the background behind turned heads."""
SOURCES = {"seen": (0.33, 0.62, 0.52), "mirrored": (0.93, 0.72, 0.35), "inferred": (0.62, 0.60, 0.70)}
"""sRGB of the provenance map: shown by the photo; shown on the other half of the face; by nothing in the photo."""

_JPEG_QUALITY = 84
_SURE = 0.5


@dataclass(frozen=True)
class MethodPictures:
    """One method's pictures of one photo.

    Attributes:
        pasted: file of the drawn head over the photo, relative to the report; None when there is none.
        rotated: file of the turned head; None when no turn was drawn.
    """

    pasted: str | None = None
    rotated: str | None = None


@dataclass(frozen=True)
class PhotoPictures:
    """The pictures of one photo; any of them may be missing.

    Attributes:
        original: file of the photo in the frame of the drawings, relative to the report.
        provenance: file of the map that tells where colours come from, turned like the heads.
        yaw_deg: how far the turned heads are turned, 0 when no turn was drawn.
        methods: by name.
    """

    original: str | None = None
    provenance: str | None = None
    yaw_deg: float = 0.0
    methods: Mapping[str, MethodPictures] = field(default_factory=dict)

    def of(self, method: str) -> MethodPictures:
        """Those of a method, of which there may be none."""
        return self.methods.get(method, MethodPictures())


class ReportPictures:
    """Writes the pictures of each photo into a report as soon as the photo is measured.

    Args:
        folder: of the report.
        model: the face model.
        renderer: draws the provenance map.
    """

    def __init__(self, folder: Path, model: FaceModel, renderer: HeadRenderer) -> None:
        self.folder, self._renderer = folder, renderer
        self._mirror = torch.from_numpy(model.mirror.astype(np.int64))

    def write(self, number: int, evaluated: EvaluatedPhoto) -> PhotoPictures:
        """Write the pictures of a photo.

        Args:
            number: of the photo, in the names of its pictures.
            evaluated: the photo, measured.
        """
        page = f"{number:04d}"
        yaw = telling_turn(evaluated)
        with staged(self.folder / FOLDER) as stage:

            def keep(name: str, picture: NDArray[np.float32]) -> str:
                write_jpeg(stage / f"{page}_{name}.jpg", picture)
                return f"{FOLDER}/{page}_{name}.jpg"

            methods = {
                name: MethodPictures(
                    keep(name, over(drawn[0.0], evaluated.photo)),
                    keep(f"{name}_turned", over(drawn[yaw], BACKGROUND)) if yaw else None,
                )
                for name, drawn in evaluated.drawings.items()
            }
            drawing = self._renderer.render(evaluated.fitted, provenance(evaluated.fitted, self._mirror), yaw)
            where = keep("map", over(drawing, BACKGROUND if yaw else evaluated.photo * 0.25 + 0.75))
            return PhotoPictures(keep("photo", evaluated.photo), where, yaw, methods)


def provenance(fitted: FittedPhoto, mirror: torch.Tensor) -> MethodResult:
    """Where each vertex has its colour from, in the colours of `SOURCES` under a lamp beside the camera.

    Args:
        fitted: the photo after the coarse stage.
        mirror: (V,) index of each vertex's mirror image.
    """
    own = fitted.observation.confidence[0].cpu() > _SURE
    source = torch.where(own, 0, torch.where(own[mirror], 1, 2))
    colors = torch.tensor(list(SOURCES.values())).pow(2.2)[source]
    towards = torch.tensor([0.3, 0.4, 0.87])
    lamp = ambient_lighting(0.45) + sh_basis(towards)[None, :, None] * torch.full((3,), 0.6)
    return MethodResult(colors, shade(fitted.view.coarse.normals_view.cpu(), lamp)[0].clamp(min=0.05))


def telling_turn(evaluated: EvaluatedPhoto) -> float:
    """The largest measured turn, to the side that the photo shows less of; 0 when no turn was measured."""
    turns = {yaw for drawn in evaluated.drawings.values() for yaw in drawn if yaw}
    if not turns:
        return 0.0
    largest = max(abs(yaw) for yaw in turns)
    rotation = evaluated.fitted.view.coarse.coefficients.rotation
    wanted = -largest if float(rotation[0, 1]) > 0 else largest
    return wanted if wanted in turns else -wanted


def over(drawing: RenderedHead, behind: NDArray[np.float32] | tuple[float, float, float]) -> NDArray[np.float32]:
    """(S, S, 3) sRGB: a drawn head before a colour or a picture."""
    back = np.broadcast_to(np.asarray(behind, np.float32), drawing.picture.shape)
    return np.where(drawing.mask[..., None], drawing.picture, back)


def write_jpeg(path: Path, picture: NDArray[np.float32]) -> None:
    """A picture (S, S, 3), sRGB in [0, 1], at `PICTURE_PX`."""
    method = cv2.INTER_AREA if len(picture) > PICTURE_PX else cv2.INTER_LINEAR
    small = cv2.resize(np.ascontiguousarray(picture, np.float32), (PICTURE_PX, PICTURE_PX), interpolation=method)
    pixels = np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8)
    save_picture(Image.fromarray(pixels), path, "JPEG", quality=_JPEG_QUALITY, optimize=True)
