"""Photographs to flattened faces: detect, align, localise, resample the photo over the face chart.

Bas et al., "3D Morphable Models as Spatial Transformer Networks", 2017. A flattened face is the photo itself, its light
included, in the texture space of the face model: every texel the same point of every face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.face_model import load_face_model
from coarse.spatial_transformer.linear_model import UvGrid, landmark_model, vertex_model
from coarse.spatial_transformer.localizer import Localizer, load_localizer
from coarse.spatial_transformer.pose import PoseLayers
from coarse.spatial_transformer.sampling import DepthVisibility
from coarse.spatial_transformer.theta import Theta, theta_layout_of
from gcnface.names import QUALITY_FLOOR
from gcnface.options import QualityOptions
from gcnface.photo.crop import FaceCrop, part_around, shrunk, warp_points
from gcnface.photo.detection import FaceDetector, make_detector, no_face
from gcnface.photo.input import photo_and_name
from gcnface.photo.registry import USUAL_DETECTOR
from gcnface.result.quality import FaceQuality, low_quality
from gcnface.stages.alignment import load_face_aligner
from gcnface.stages.coarse import OnStage, Stopwatch
from gcnface.stages.quality import aligned_quality
from gcnface.system.isolation import plain_torch
from render.devices import check_device, resolve_device
from render.normals import vertex_normals
from render.sampling import sample_image

if TYPE_CHECKING:
    from gcnface.photo.input import PhotoLike

STAGES = ("detect", "align", "localise", "flatten")
"""Names of the stages, in order."""

DEFAULT_SIZE = 256

GRAZING = 0.1
"""Cosine between normal and line of sight below which a texel counts as hidden: there a pixel spans many texels."""

_BUFFER_PX = 448
_MARGIN_PX = 2


@dataclass(frozen=True)
class FlattenedFace:
    """The largest face of a photo over the face chart.

    Attributes:
        texture: (S, S, 3) float32 sRGB in [0, 1], the photo's own colours; 0 where hidden. Row 0 is v = 1 (forehead),
            the mirror plane lies between the two middle columns.
        mask: (S, S) bool: on the chart, facing the camera, behind nothing, inside the photo.
        rotation: (3,) float32 axis-angle of the head in the crop, rad; zero looks into the camera.
        scale: pixels of the crop a mm.
        translation: (2,) float32 crop px in which the model's origin stands.
        identity: (Ni,) float32, unit Gaussian.
        expression: (Ne,) float32, blendshapes; 0 rest, 1 full.
        landmarks468: (468, 2) float32 photo px.
        crop_from_photo: (3, 3) float64, takes homogenous photo px to px of the 224 px crop.
        quality: how far the face may be believed, and why; None when unknown.

    Example:
        >>> import gcnface
        >>> bool(gcnface.flatten("examples/portrait.jpg", size=128).mask.mean() > 0.5)
        True
    """

    texture: NDArray[np.float32]
    mask: NDArray[np.bool_]
    rotation: NDArray[np.float32]
    scale: float
    translation: NDArray[np.float32]
    identity: NDArray[np.float32]
    expression: NDArray[np.float32]
    landmarks468: NDArray[np.float32]
    crop_from_photo: NDArray[np.float64]
    quality: FaceQuality | None = None

    @property
    def rgba(self) -> NDArray[np.float32]:
        """(S, S, 4) texture with its mask as alpha."""
        return np.dstack([self.texture, self.mask.astype(np.float32)])


@dataclass(frozen=True)
class MeanFace:
    """The mean of flattened faces of one person.

    Attributes:
        texture: (S, S, 3) float32 sRGB, the mean over the photos that show a texel; 0 where none does.
        seen: (S, S) float32, the share of the photos that show it.
    """

    texture: NDArray[np.float32]
    seen: NDArray[np.float32]

    @property
    def rgba(self) -> NDArray[np.float32]:
        """(S, S, 4) texture, opaque where any photo shows it."""
        return np.dstack([self.texture, (self.seen > 0).astype(np.float32)])


class Flattener:
    """Photographs to flattened faces; holds the loaded networks.

    Args:
        device: "cpu", "cuda", "mps": where the localiser runs.
        size: texels a side, even, 16 to 4096; published: 112.
        localizer: reads theta off a crop; None loads the shipped one.
        detector: finds the faces; None makes one.
        least_quality: a face of less is refused; 0 takes all.

    Raises:
        DeviceError: there is no such device.
        ValueError: the size is odd or out of range, or the localiser's weights are missing.

    Example:
        >>> import gcnface
        >>> flattener = gcnface.Flattener(size=128)
        >>> flattener(gcnface.read_photo("examples/portrait.jpg")).texture.shape
        (128, 128, 3)
    """

    @plain_torch()
    def __init__(
        self,
        device: str = "cpu",
        *,
        size: int = DEFAULT_SIZE,
        localizer: Localizer | None = None,
        detector: FaceDetector | None = None,
        least_quality: float = QUALITY_FLOOR,
    ) -> None:
        if not 16 <= size <= 4096 or size % 2:
            raise ValueError(f"size is {size}; expected an even number of texels from 16 to 4096")
        self.device, self.size, self.least_quality = resolve_device(device), size, least_quality
        model = load_face_model()
        self.localizer = (localizer or load_localizer(theta_layout_of(model))).to(self.device).eval()
        layout = self.localizer.layout
        self.detector = detector or make_detector()
        self.face_aligner = load_face_aligner(model, self.device)
        self.shape = vertex_model(model, layout.identity, layout.expression)
        self.landmarks = landmark_model(model, layout.identity, layout.expression)
        self.faces = torch.from_numpy(model.faces.astype(np.int64))
        self.grid, self.pose = UvGrid(model, size), PoseLayers()
        self.unoccluded = DepthVisibility(self.faces, _BUFFER_PX)

    @plain_torch()
    @torch.no_grad()
    def __call__(
        self, photo: NDArray[np.float32], *, name: str | Path = "photo", on_stage: OnStage | None = None
    ) -> FlattenedFace:
        """Flatten the largest face of a photo.

        Args:
            photo: (H, W, 3) float32 sRGB in [0, 1].
            name: of the photo, for messages.
            on_stage: called with the name of each stage as it begins.

        Raises:
            NoFaceError: there is no face.
            LowQualityError: what is found cannot be believed.
        """
        watch = Stopwatch(on_stage)
        with watch.stage("detect"):
            found = self.detector.detect(photo)
        if not found:
            raise no_face(name, photo)
        with watch.stage("align"):
            aligned = self.face_aligner(photo, found[0])
            quality = aligned_quality(photo.shape, aligned, self.face_aligner.viewer.layout)
        if quality.value < self.least_quality:
            raise low_quality(name, [quality])
        with watch.stage("localise"):
            raw = self.localizer(aligned.crop.image[None].to(self.device)).float().cpu()
        with watch.stage("flatten"):
            face = self.resampled(photo, aligned.crop, self.localizer.layout.decode(raw))
            return replace(face, quality=quality)

    @plain_torch()
    @torch.no_grad()
    def resampled(self, photo: NDArray[np.float32], crop: FaceCrop, theta: Theta) -> FlattenedFace:
        """Flatten a face whose theta is known.

        Args:
            photo: (H, W, 3) float32 sRGB in [0, 1].
            crop: of that photo.
            theta: of one face, in px of the crop.
        """
        vertices = self.shape(theta.alpha)
        screen = self.pose(vertices, theta)
        texels = self.grid(screen)
        seen = self.unoccluded(texels, screen)[0] & (self._facing(vertices, theta) > GRAZING)
        xy_photo = warp_points(texels[0, :, :2].double().numpy(), crop.photo_from_crop)
        colors = _sampled(photo, xy_photo.reshape(self.size, self.size, 2))
        inside = ((xy_photo >= 0) & (xy_photo <= photo.shape[1::-1])).all(1)
        mask = self.grid.mask.numpy() & (seen.numpy() & inside).reshape(self.size, self.size)
        points = self.pose(self.landmarks(theta.alpha), theta)[0, :, :2].double().numpy()
        return FlattenedFace(
            texture=colors * mask[..., None],
            mask=mask,
            rotation=theta.rotation[0].numpy(),
            scale=float(theta.log_scale[0, 0].exp()),
            translation=theta.translation[0].numpy(),
            identity=theta.identity[0].numpy(),
            expression=theta.expression[0].numpy(),
            landmarks468=warp_points(points, crop.photo_from_crop).astype(np.float32),
            crop_from_photo=crop.crop_from_photo,
        )

    def _facing(self, vertices: Tensor, theta: Theta) -> Tensor:
        """(S * S,) cosine between the texels' normals and the line of sight."""
        normals = vertex_normals(self.pose.rotated(vertices, theta), self.faces)
        return self.grid(normals)[0, :, 2]


def _sampled(photo: NDArray[np.float32], xy: NDArray[np.floating]) -> NDArray[np.float32]:
    """Bilinear colours (S, S, 3) of a photo at photo px (S, S, 2); its border repeats outside.

    A photo with more than a pixel a texel is first averaged over areas to one, so that nothing is skipped.
    """
    part, low = part_around(photo, xy, _MARGIN_PX)
    step = float(np.median(np.linalg.norm(np.diff(xy, axis=1), axis=2)))
    reduced = shrunk(part, 1 / max(step, 1.0))
    scale = np.array(reduced.shape[1::-1]) / part.shape[1::-1]
    image = torch.from_numpy(np.ascontiguousarray(reduced.transpose(2, 0, 1), np.float32))[None]
    points = torch.from_numpy(((xy - low) * scale).reshape(1, -1, 2).astype(np.float32))
    return sample_image(image, points)[0].reshape(*xy.shape[:2], 3).numpy()


def mean_face(faces: Sequence[FlattenedFace]) -> MeanFace:
    """The mean of flattened faces over the photos that show each texel.

    Raises:
        ValueError: there is none, or they differ in size.

    Example:
        >>> import gcnface
        >>> faces = [gcnface.flatten(f"examples/{name}.jpg", size=128) for name in ("portrait", "smile")]
        >>> gcnface.mean_face(faces).rgba.shape
        (128, 128, 4)
    """
    sizes = {face.mask.shape for face in faces}
    if len(sizes) != 1:
        raise ValueError(f"{len(faces)} flattened faces of the sizes {sorted(sizes)} given; expected some of one size")
    total = np.sum([face.texture * face.mask[..., None] for face in faces], axis=0, dtype=np.float64)
    count = np.sum([face.mask for face in faces], axis=0)
    texture = total / np.maximum(count, 1)[..., None]
    return MeanFace(texture.astype(np.float32), (count / len(faces)).astype(np.float32))


def flatten(
    photo: PhotoLike,
    *,
    device: str = "cpu",
    size: int = DEFAULT_SIZE,
    detector: str = USUAL_DETECTOR,
    min_quality: float = QUALITY_FLOOR,
    force: bool = False,
) -> FlattenedFace:
    """Flatten the largest face of one photo; for several, keep a `Flattener`.

    Args:
        photo: path, bytes, file object, PIL image, array or tensor; see `gcnface.photo.input.photo_and_name`.
        device: "cpu", "cuda", "mps": where the localiser runs.
        size: texels a side, even.
        detector: "joint", "yunet" or "mtcnn", what finds the faces.
        min_quality: refuse a face of less quality, 0 to 1; `gcnface.FaceQuality` says what it means.
        force: take whatever is found.

    Raises:
        PhotoError: the file cannot be read as an image.
        NoFaceError: no face is found in it.
        LowQualityError: what is found cannot be believed.
        DeviceError: there is no such device; the message says which there are.
        ValueError: the array has another shape or type, or the size is out of its range.
        TypeError: the photo is something else.

    Example:
        >>> import gcnface
        >>> gcnface.flatten("examples/portrait.jpg", size=128).rgba.shape
        (128, 128, 4)
    """
    check_device(device)
    pixels, name = photo_and_name(photo)
    least = QualityOptions(min_quality=min_quality, force=force).least_quality
    return Flattener(device, size=size, detector=make_detector(detector), least_quality=least)(pixels, name=name)
