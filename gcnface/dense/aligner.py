"""Photographs to densely aligned faces: detect, find the window and its position map, read that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.dense_alignment import DenseAlignment, DenseReader
from coarse.face_model import load_face_model
from coarse.position_network import load_position_map_network
from gcnface.dense.aligned_face import AlignedFace, HeadPose
from gcnface.dense.texture import chart_texture, inside
from gcnface.errors import LowQualityError
from gcnface.names import QUALITY_FLOOR
from gcnface.options import QualityOptions
from gcnface.photo.crop import WINDOW_FROM_CROP, similarity_scale, warp_points
from gcnface.photo.detection import Detection, FaceDetector, make_detector, no_face
from gcnface.photo.input import photo_and_name
from gcnface.photo.registry import USUAL_DETECTOR
from gcnface.result.quality import FaceQuality, check_believed
from gcnface.stages.alignment import FaceAligner
from gcnface.stages.coarse import OnStage, Stopwatch
from gcnface.stages.looks import Viewer, rotation_in_photo
from gcnface.stages.pose_finder import load_pose_finder
from gcnface.stages.quality import aligned_quality
from gcnface.system.isolation import plain_torch
from render.devices import check_device, resolve_device
from render.rotation import euler_from_rotation, rotation_from_axis_angle

if TYPE_CHECKING:
    from gcnface.photo.input import PhotoLike

STAGES = ("detect", "align", "measure", "texture")
"""Names of the stages, in order."""

DEFAULT_TEXTURE_PX = 256


class DenseAligner:
    """Photographs to aligned faces; holds the loaded networks.

    Args:
        device: "cpu", "cuda", "mps": where the network runs.
        texture_size: side of the texture in px.
        all_faces: align every face of a photo, not the largest alone.
        network: windows (B, 3, 256, 256) sRGB in [0, 1] to position maps (B, 3, S, S) in window px; None loads the
            shipped one.
        detector: finds the faces; None makes one.
        reader: of the network's maps; None makes one for the shipped face model.
        least_quality: faces of less are refused; 0 takes all.

    Example:
        >>> import gcnface
        >>> faces = gcnface.DenseAligner()(gcnface.read_photo("examples/portrait.jpg"))
        >>> faces[0].landmarks468.shape
        (468, 3)
    """

    @plain_torch()
    def __init__(
        self,
        device: str = "cpu",
        *,
        texture_size: int = DEFAULT_TEXTURE_PX,
        all_faces: bool = False,
        network: Callable[[Tensor], Tensor] | None = None,
        detector: FaceDetector | None = None,
        reader: DenseReader | None = None,
        least_quality: float = QUALITY_FLOOR,
    ) -> None:
        if not 64 <= texture_size <= 8192:
            raise ValueError(f"texture_size is {texture_size}; expected 64 to 8192 px")
        self.device, self.all_faces, self.least_quality = resolve_device(device), all_faces, least_quality
        self.reader = reader or DenseReader(load_face_model())
        self.network = network or load_position_map_network(self.reader.layout).to(self.device)
        self.detector = detector or make_detector()
        landmarks = (self.reader.mean[self.reader.landmark_corners] * self.reader.landmark_bary[..., None]).sum(1)
        viewer = Viewer(landmarks.cpu().numpy(), self.reader.layout, self.network, self.device)
        shipped = network is None and reader is None
        finder = load_pose_finder(load_face_model(), viewer.head, self.device) if shipped else None
        self.face_aligner = FaceAligner(viewer, finder)
        self.texels = self.reader.texels(texture_size)

    @plain_torch()
    @torch.no_grad()
    def __call__(self, photo: NDArray[np.float32], *, on_stage: OnStage | None = None) -> list[AlignedFace]:
        """Align the faces of one photo, largest first; an empty list when none is found.

        Args:
            photo: (H, W, 3) float32 sRGB in [0, 1].
            on_stage: called with the name of each stage as it begins.

        Raises:
            LowQualityError: none of the faces can be believed.

        Warns:
            LowQualityWarning: some of them are left out for that.
        """
        watch = Stopwatch(on_stage)
        with watch.stage("detect"):
            found = self.detector.detect(photo)
        looked = [self._align(photo, face, watch) for face in (found if self.all_faces else found[:1])]
        check_believed([quality for quality, _ in looked], [face is not None for _, face in looked])
        return [face for _, face in looked if face is not None]

    def _align(
        self, photo: NDArray[np.float32], face: Detection, watch: Stopwatch
    ) -> tuple[FaceQuality, AlignedFace | None]:
        """What the face is worth, and the face if that is enough."""
        with watch.stage("align"):
            found = self.face_aligner(photo, face)
            quality = aligned_quality(photo.shape, found, self.reader.layout)
        if quality.value < self.least_quality:
            return quality, None
        with watch.stage("measure"):
            aligned = self.reader(found.position_map.float().cpu())
        with watch.stage("texture"):
            window_from_photo = WINDOW_FROM_CROP @ found.crop.crop_from_photo
            photo_from_window = np.asarray(np.linalg.inv(window_from_photo), np.float64)
            in_photo = self._in_photo(photo, face, aligned, photo_from_window)
            return quality, replace(in_photo, quality=quality)

    def _in_photo(
        self,
        photo: NDArray[np.float32],
        face: Detection,
        aligned: DenseAlignment,
        photo_from_window: NDArray[np.float64],
    ) -> AlignedFace:
        """Everything taken from the window to the photo."""
        reader = self.reader
        vertices = warp_points(reader.closed.close(aligned.vertices)[0].numpy(), photo_from_window)
        landmarks = warp_points(aligned.landmarks468[0].numpy(), photo_from_window)
        landmarks68 = warp_points(aligned.landmarks68[0].numpy(), photo_from_window)
        visible = reader.closed.close(aligned.visible[..., None].float())[0, :, 0].numpy() > 0.5
        seen = reader.texels_visible(aligned.vertices, self.texels)[0].numpy()
        return AlignedFace(
            position_map=warp_points(aligned.position_map[0].permute(1, 2, 0).numpy(), photo_from_window),
            map_mask=reader.layout.mask.numpy(),
            vertices=vertices,
            faces=reader.faces.numpy(),
            uv=reader.closed.close(reader.layout.vertex_uv[None])[0].numpy(),
            visible=visible & inside(vertices, photo),
            landmarks68=landmarks68,
            landmarks468=landmarks,
            landmarks468_visible=aligned.landmarks468_visible[0].numpy() & inside(landmarks, photo),
            landmarks68_visible=aligned.landmarks68_visible[0].numpy() & inside(landmarks68, photo),
            pose=_pose_in_photo(aligned, photo_from_window),
            texture=chart_texture(photo, vertices, reader.faces, self.texels, seen),
            photo=photo,
            box=face.box,
            score=face.score,
        )


def _pose_in_photo(aligned: DenseAlignment, photo_from_window: NDArray[np.float64]) -> HeadPose:
    """The pose seen in the photo: the window's own turn in the plane is part of it."""
    pose, enlarged = aligned.pose, similarity_scale(photo_from_window)
    rotation = rotation_in_photo(rotation_from_axis_angle(pose.rotation)[0].double().numpy(), photo_from_window)
    return HeadPose(
        rotation=rotation.astype(np.float32),
        euler_deg=np.degrees(euler_from_rotation(torch.from_numpy(rotation)[None])[0].numpy()).astype(np.float32),
        scale=float(pose.scale[0]) * enlarged,
        translation=warp_points(pose.translation.numpy(), photo_from_window)[0],
        residual=float(pose.residual[0]) * enlarged,
    )


@lru_cache(maxsize=2)
def load_aligner(
    device: str = "cpu",
    texture_size: int = DEFAULT_TEXTURE_PX,
    all_faces: bool = False,
    detector: str = USUAL_DETECTOR,
    least_quality: float = QUALITY_FLOOR,
) -> DenseAligner:
    """An aligner with its networks; the two used last are kept."""
    finder = make_detector(detector)
    return DenseAligner(
        device, texture_size=texture_size, all_faces=all_faces, detector=finder, least_quality=least_quality
    )


def aligned_faces(
    aligner: Callable[..., list[AlignedFace]],
    photo: NDArray[np.float32],
    name: Path,
    on_stage: OnStage | None = None,
) -> list[AlignedFace]:
    """The aligned faces of a photo; NoFaceError, which names it, where a `DenseAligner` finds none to believe."""
    try:
        faces = aligner(photo, on_stage=on_stage)
    except LowQualityError as error:
        raise error.of(name) from None
    if not faces:
        raise no_face(name, photo)
    return faces


@overload
def align(
    photo: PhotoLike,
    *,
    all_faces: Literal[False] = False,
    device: str = "cpu",
    texture_size: int = 256,
    detector: str = USUAL_DETECTOR,
    min_quality: float = QUALITY_FLOOR,
    force: bool = False,
) -> AlignedFace: ...


@overload
def align(
    photo: PhotoLike,
    *,
    all_faces: Literal[True],
    device: str = "cpu",
    texture_size: int = 256,
    detector: str = USUAL_DETECTOR,
    min_quality: float = QUALITY_FLOOR,
    force: bool = False,
) -> list[AlignedFace]: ...


def align(
    photo: PhotoLike,
    *,
    all_faces: bool = False,
    device: str = "cpu",
    texture_size: int = DEFAULT_TEXTURE_PX,
    detector: str = USUAL_DETECTOR,
    min_quality: float = QUALITY_FLOOR,
    force: bool = False,
) -> AlignedFace | list[AlignedFace]:
    """Align the largest face of a photo densely, or all its faces.

    The networks are loaded on the first call and kept for further calls with the same options.

    Args:
        photo: path, bytes, file object, PIL image, array or tensor; see `gcnface.photo.input.photo_and_name`.
        all_faces: return a list of all faces, the largest first.
        device: "cpu", "cuda", "mps": where the networks run.
        texture_size: side of the texture in px.
        detector: "joint", "yunet" or "mtcnn", what finds the faces.
        min_quality: refuse faces of less quality, 0 to 1; `gcnface.FaceQuality` says what it means.
        force: take whatever is found.

    Raises:
        PhotoError: the file cannot be read as an image.
        NoFaceError: no face is found in it.
        LowQualityError: none can be believed.
        DeviceError: there is no such device; the message says which there are.
        ValueError: the array has another shape or type, or an option is out of its range.
        TypeError: the photo is something else.

    Example:
        >>> import gcnface
        >>> gcnface.align("examples/portrait.jpg").landmarks68.shape
        (68, 3)
    """
    check_device(device)
    pixels, name = photo_and_name(photo)
    least = QualityOptions(min_quality=min_quality, force=force).least_quality
    faces = aligned_faces(load_aligner(device, texture_size, all_faces, detector, least), pixels, name)
    return faces if all_faces else faces[0]
