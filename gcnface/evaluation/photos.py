"""The protocol of one photo: every method on one geometry, every figure of every method."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from gcnface.evaluation.colors import color_difference
from gcnface.evaluation.figures import Lpips, compare
from gcnface.evaluation.groups import cheeks_and_forehead, glasses_share, skin_angles_deg
from gcnface.evaluation.identity import IdentityNetwork, Portrait, points5_of
from gcnface.evaluation.methods import Method, fit_photo
from gcnface.evaluation.records import FittedPhoto, MethodResult, RenderedHead
from gcnface.evaluation.rendering import HeadRenderer, RasterizedHead
from gcnface.evaluation.scenes import vertex_albedo
from gcnface.photo.crop import CROP_SIDE_PX, warp_points
from gcnface.pipeline import Reconstructor
from gcnface.stages.coarse import Stopwatch
from gcnface.stages.observation import face_mask
from render.rotation import euler_from_rotation, rotation_from_axis_angle

PHOTO_ITSELF = ""
"""The method of figures that belong to the photo."""


@dataclass(frozen=True)
class Protocol:
    """What is measured.

    Attributes:
        side_px: of the pictures that are compared, those of the aligned crop.
        yaws_deg: turns at which identity is measured, each to both sides.
        mirrored: also reconstruct the mirrored photo.
        warm_up: reconstruct the first photo once before any time is taken.
    """

    side_px: int = CROP_SIDE_PX
    yaws_deg: tuple[float, ...] = (30.0, 45.0)
    mirrored: bool = True
    warm_up: bool = True

    def __post_init__(self) -> None:
        if not 64 <= self.side_px <= 1024:
            raise ValueError(f"side_px is {self.side_px}; expected 64 to 1024")
        if any(not 0 < yaw < 90 for yaw in self.yaws_deg):
            raise ValueError(f"yaws_deg is {self.yaws_deg}; expected turns between 0 and 90 degrees")


class Measured(NamedTuple):
    """One figure of a method (or of the photo, `PHOTO_ITSELF`)."""

    method: str
    name: str
    value: float


@dataclass(frozen=True)
class EvaluatedPhoto:
    """One photo, measured.

    Attributes:
        seen: the face after the coarse stage.
        photo: (S, S, 3) sRGB, the photo in the frame of the drawings.
        mask: (S, S) bool, inside which figures count: drawn and of the face by the parser.
        result: every method's answer.
        drawings: of every method, by the turn in degrees, 0 among them.
        figures: all of them.
        features: (D,) the photo's own feature, by identity network.
    """

    seen: FittedPhoto
    photo: NDArray[np.float32]
    mask: NDArray[np.bool_]
    result: Mapping[str, MethodResult]
    drawings: Mapping[str, Mapping[float, RenderedHead]]
    figures: Sequence[Measured]
    features: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


class PhotoEvaluator:
    """Measures photos one by one.

    Args:
        reconstructor: holds the networks.
        methods: by name.
        networks: of identity.
        protocol: what is measured.
        lpips: the perceptual network, or None.
    """

    def __init__(
        self,
        reconstructor: Reconstructor,
        methods: Mapping[str, Method],
        networks: Sequence[IdentityNetwork],
        protocol: Protocol = Protocol(),
        lpips: Lpips | None = None,
    ) -> None:
        self.reconstructor, self.methods, self.networks = reconstructor, dict(methods), list(networks)
        self.protocol, self.lpips = protocol, lpips
        self.renderer = HeadRenderer(reconstructor.model, protocol.side_px)
        model = reconstructor.model
        self._skin = cheeks_and_forehead(model)
        self._face = torch.from_numpy(model.region_mask("face", "eyes_nose_mouth"))
        self._mirror = torch.from_numpy(model.mirror.astype(np.int64))
        self._warm = not protocol.warm_up

    def __call__(self, photo: NDArray[np.float32], watch: Stopwatch | None = None) -> EvaluatedPhoto | None:
        """Measure the largest face of a photo; None when there is none.

        Args:
            photo: (H, W, 3) float32 sRGB in [0, 1].
            watch: is told the stages.
        """
        watch = watch or Stopwatch()
        if not self._warm:
            with watch.stage("warm up"):
                self._warm_up(photo)
        begin = time.perf_counter()
        seen = fit_photo(self.reconstructor, photo, watch)
        if seen is None:
            return None
        figures = [Measured(PHOTO_ITSELF, "seconds_coarse", time.perf_counter() - begin)]
        with watch.stage("draw"):
            frames = {yaw: self.renderer.frame(seen.view.coarse, yaw) for yaw in self._turns()}
            picture, mask = self.renderer.photo(seen), self._mask(seen, frames[0.0])
        result: dict[str, MethodResult] = {}
        drawings: dict[str, dict[float, RenderedHead]] = {}
        for name, method in self.methods.items():
            with watch.stage(name):
                begin = time.perf_counter()
                result[name] = method(seen)
                seconds = time.perf_counter() - begin
                figures.append(Measured(name, "seconds", seconds))
                figures.append(Measured(name, "seconds_whole", seconds + figures[0].value))
                drawings[name] = {yaw: self.renderer.shade(frame, result[name]) for yaw, frame in frames.items()}
                figures += _named(name, compare(drawings[name][0.0].picture, picture, mask, self.lpips))
        figures += self._of_photo(seen, frames[0.0])
        with watch.stage("identity"):
            features, cosines = self._identity(seen, picture, mask, drawings)
        figures += cosines
        if self.protocol.mirrored:
            with watch.stage("mirrored"):
                figures += self._mirrored(photo, result)
        return EvaluatedPhoto(seen, picture, mask, result, drawings, figures, features)

    def _warm_up(self, photo: NDArray[np.float32]) -> None:
        """Fill the caches, so that the first photo's seconds are like the others'."""
        seen = fit_photo(self.reconstructor, photo)
        if seen is not None:
            for method in self.methods.values():
                method(seen)
            self._warm = True

    def _turns(self) -> list[float]:
        return [0.0, *(sign * yaw for yaw in self.protocol.yaws_deg for sign in (-1.0, 1.0))]

    def _mask(self, seen: FittedPhoto, frame: RasterizedHead) -> NDArray[np.bool_]:
        """The same for every method: covered by the mesh and of the face by the parser."""
        head = frame.mask
        share = face_mask(seen.view.classes)[0].cpu().numpy()
        if share.shape != head.shape:
            share = cv2.resize(share, head.shape[::-1], interpolation=cv2.INTER_LINEAR)
        return head & (share > 0.5)

    def _of_photo(self, seen: FittedPhoto, frame: RasterizedHead) -> list[Measured]:
        found = {
            **{f"skin_angle_{name}": angle for name, angle in skin_angles_deg(seen, self._skin).items()},
            "glasses_share": glasses_share(seen.view.classes, frame.mask),
            "head_yaw_deg": head_yaw_deg(seen),
            "seen_share": float(seen.observation.confidence[0].cpu()[self._face].mean()),
        }
        return list(_named(PHOTO_ITSELF, found))

    def _identity(
        self,
        seen: FittedPhoto,
        picture: NDArray[np.float32],
        mask: NDArray[np.bool_],
        drawings: Mapping[str, Mapping[float, RenderedHead]],
    ) -> tuple[dict[str, NDArray[np.float32]], list[Measured]]:
        """The photo's features and the cosines of all drawings to them."""
        zoom = np.diag([self.protocol.side_px / CROP_SIDE_PX] * 2 + [1.0])
        points = warp_points(seen.view.crop.points5, zoom @ seen.view.crop.crop_from_photo).astype(np.float64)
        own = Portrait(picture, points)
        asked = [Measured(PHOTO_ITSELF, "mirror", 1.0)]
        portraits = [own, own.mirrored()]
        model, coarse = self.reconstructor.model, seen.view.coarse
        rotated = {yaw: points5_of(model, coarse, yaw, self.protocol.side_px) for yaw in self._turns() if yaw}
        for method, drawn in drawings.items():
            for name, where in (("front", drawn[0.0].mask), ("face", mask)):
                pasted = np.where(where[..., None], drawn[0.0].picture, picture)
                asked.append(Measured(method, name, 1.0))
                portraits.append(Portrait(pasted, points))
            for yaw, points_rotated in rotated.items():
                asked.append(Measured(method, f"yaw{abs(yaw):g}", 0.5))
                portraits.append(Portrait(drawn[yaw].picture, points_rotated))
        features, figures = {}, []
        for network in self.networks:
            found = network(portraits)
            features[network.name] = found[0]
            cosines = found[1:] @ found[0]
            figures += _summed(network.name, asked, cosines)
        return features, figures

    def _mirrored(self, photo: NDArray[np.float32], result: Mapping[str, MethodResult]) -> list[Measured]:
        """What each method's albedo and that of the mirrored photo, mirrored back, agree to, over the face."""
        again = fit_photo(self.reconstructor, np.ascontiguousarray(photo[:, ::-1]))
        if again is None:
            return [Measured(name, "mirrored_psnr", float("nan")) for name in result]
        figures = []
        for name, method in self.methods.items():
            model = self.reconstructor.model
            first, second = vertex_albedo(model, result[name]), vertex_albedo(model, method(again))
            apart = color_difference(second[self._mirror], first, self._face)
            figures.append(Measured(name, "mirrored_psnr", apart.psnr_db))
        return figures


def head_yaw_deg(seen: FittedPhoto) -> float:
    """How far the head is turned in the photo, degrees; positive turns the nose to the viewer's right."""
    rotation = rotation_from_axis_angle(seen.view.coarse.coefficients.rotation.cpu())
    return float(torch.rad2deg(euler_from_rotation(rotation)[0, 0]))


def _named(method: str, values: Mapping[str, float]) -> Iterable[Measured]:
    return [Measured(method, name, value) for name, value in values.items()]


def _summed(network: str, asked: Sequence[Measured], cosines: NDArray[np.float32]) -> list[Measured]:
    """Cosines by name; those of one name (the two sides of a turn) are averaged by their weights."""
    total: dict[tuple[str, str], float] = {}
    for (method, name, weight), cosine in zip(asked, cosines, strict=True):
        key = (method, f"{network}_{name}")
        total[key] = total.get(key, 0.0) + weight * float(cosine)
    return [Measured(method, name, value) for (method, name), value in total.items()]
