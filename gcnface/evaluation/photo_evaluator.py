"""Measuring one photo: every method on one geometry, every metric of every method."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from gcnface.evaluation.colors import color_difference
from gcnface.evaluation.groups import cheeks_and_forehead, glasses_share, skin_angles_deg
from gcnface.evaluation.identity_networks import IdentityNetwork, Portrait, points5_of
from gcnface.evaluation.methods import Method, build_method, fit_photo
from gcnface.evaluation.metrics import PictureMetric, compare
from gcnface.evaluation.records import (
    PHOTO_ITSELF,
    FittedPhoto,
    Measured,
    MethodResult,
    Metric,
    RenderedHead,
    averaged,
)
from gcnface.evaluation.registries import REFERENCE
from gcnface.evaluation.rendering import HeadRenderer, RasterizedHead, all_turns
from gcnface.evaluation.scenes import face_region, vertex_albedo
from gcnface.options import PictureOptions
from gcnface.photo.crop import warp_points
from gcnface.pipeline import Reconstructor
from gcnface.stages.coarse import Stopwatch
from gcnface.stages.observation import face_mask
from render.rotation import euler_from_rotation, rotation_from_axis_angle

_MIRRORED = Metric("psnr", "mirrored")


@dataclass(frozen=True)
class EvaluatedPhoto:
    """One photo, measured.

    Attributes:
        fitted: the face after the coarse stage.
        photo: (S, S, 3) sRGB, the photo in the frame of the drawings.
        mask: (S, S) bool, inside which pictures are compared: drawn and of the face by the parser.
        results: every method's answer.
        drawings: of every method, by the turn in degrees, 0 among them.
        measured: all values.
        features: (D,) the photo's own feature, by identity network.
    """

    fitted: FittedPhoto
    photo: NDArray[np.float32]
    mask: NDArray[np.bool_]
    results: Mapping[str, MethodResult]
    drawings: Mapping[str, Mapping[float, RenderedHead]]
    measured: Sequence[Measured]
    features: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


class PhotoEvaluator:
    """Measures photos one by one.

    Args:
        reconstructor: holds the networks.
        methods: by name.
        networks: of identity, by name.
        metrics: of pictures, by name.
        options: what is measured; None takes the usual.
        warm_up: reconstruct the first photo once before any time is taken.
    """

    def __init__(
        self,
        reconstructor: Reconstructor,
        methods: Mapping[str, Method],
        networks: Mapping[str, IdentityNetwork],
        metrics: Mapping[str, PictureMetric],
        options: PictureOptions | None = None,
        *,
        warm_up: bool = True,
    ) -> None:
        self.reconstructor, self.methods, self.networks = reconstructor, dict(methods), dict(networks)
        self.options, self.metrics = options or PictureOptions(), dict(metrics)
        self.renderer = HeadRenderer(reconstructor.model, self.options.size)
        model = reconstructor.model
        self._skin = cheeks_and_forehead(model)
        self._face = face_region(model)
        self._mirror = torch.from_numpy(model.mirror.astype(np.int64))
        self._warm = not warm_up

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
        fitted = fit_photo(self.reconstructor, photo, watch)
        if fitted is None:
            return None
        coarse_seconds = time.perf_counter() - begin
        measured = [Measured(PHOTO_ITSELF, Metric("seconds", "coarse"), coarse_seconds)]
        with watch.stage("draw"):
            frames = {yaw: self.renderer.frame(fitted.view.coarse, yaw) for yaw in all_turns((0.0, *self.options.yaws))}
            picture, mask = self.renderer.photo(fitted), self._mask(fitted, frames[0.0])
        results: dict[str, MethodResult] = {}
        drawings: dict[str, dict[float, RenderedHead]] = {}
        for name, method in self.methods.items():
            with watch.stage(name):
                begin = time.perf_counter()
                results[name] = method(fitted)
                seconds = time.perf_counter() - begin
                drawings[name] = {yaw: self.renderer.shade(frame, results[name]) for yaw, frame in frames.items()}
                fits = compare(drawings[name][0.0].picture, picture, mask, self.metrics)
            measured += _named(name, fits)
            cost = {Metric("seconds", "method"): seconds, Metric("seconds", "whole"): seconds + coarse_seconds}
            measured += _named(name, cost)
        measured += self._of_photo(fitted, frames[0.0])
        with watch.stage("identity"):
            features, cosines = self._identity(fitted, picture, mask, drawings)
        measured += cosines
        if self.options.mirrored:
            with watch.stage("mirrored"):
                measured += self._mirrored(photo, results)
        return EvaluatedPhoto(fitted, picture, mask, results, drawings, measured, features)

    def _warm_up(self, photo: NDArray[np.float32]) -> None:
        """Fill the caches, so that the first photo's seconds are like the others'."""
        fitted = fit_photo(self.reconstructor, photo)
        if fitted is not None:
            for method in self.methods.values():
                method(fitted)
            self._warm = True

    def _mask(self, fitted: FittedPhoto, frame: RasterizedHead) -> NDArray[np.bool_]:
        """The same for every method: covered by the mesh and of the face by the parser."""
        share = face_mask(fitted.view.classes)[0].cpu().numpy()
        return frame.mask & (cv2.resize(share, frame.mask.shape, interpolation=cv2.INTER_LINEAR) > 0.5)

    def _of_photo(self, fitted: FittedPhoto, frame: RasterizedHead) -> list[Measured]:
        angles = skin_angles_deg(fitted, self._skin)
        found = {Metric("skin_angle", view): angle for view, angle in angles.items()}
        found[Metric("glasses_share")] = glasses_share(fitted.view.classes, frame.mask)
        found[Metric("head_yaw")] = head_yaw_deg(fitted)
        found[Metric("seen_share")] = float(fitted.observation.confidence[0].cpu()[self._face].mean())
        return _named(PHOTO_ITSELF, found)

    def _identity(
        self,
        fitted: FittedPhoto,
        picture: NDArray[np.float32],
        mask: NDArray[np.bool_],
        drawings: Mapping[str, Mapping[float, RenderedHead]],
    ) -> tuple[dict[str, NDArray[np.float32]], list[Measured]]:
        """The photo's features and the cosines of all drawings to them."""
        drawing_from_photo = self.renderer.drawing_from_photo(fitted)
        points = warp_points(fitted.view.crop.points5, drawing_from_photo).astype(np.float64)
        own = Portrait(picture, points)
        asked = [(PHOTO_ITSELF, Metric("cosine", "mirror"))]
        portraits = [own, own.mirrored()]
        model, coarse = self.reconstructor.model, fitted.view.coarse
        rotated = {yaw: points5_of(model, coarse, yaw, self.options.size) for yaw in all_turns(self.options.yaws)}
        for method, drawn in drawings.items():
            for view, where in (("pasted_head", drawn[0.0].mask), ("pasted_face", mask)):
                pasted = np.where(where[..., None], drawn[0.0].picture, picture)
                asked.append((method, Metric("cosine", view)))
                portraits.append(Portrait(pasted, points))
            for yaw, points_rotated in rotated.items():
                asked.append((method, Metric("cosine", "turned", abs(yaw))))
                portraits.append(Portrait(drawn[yaw].picture, points_rotated))
        features, measured = {}, []
        for name, network in self.networks.items():
            found = network(portraits)
            features[name] = found[0]
            cosines = zip(asked, (found[1:] @ found[0]).tolist(), strict=True)
            measured += averaged(Measured(m, replace(n, network=name), value) for (m, n), value in cosines)
        return features, measured

    def _mirrored(self, photo: NDArray[np.float32], results: Mapping[str, MethodResult]) -> list[Measured]:
        """What each method's albedo and that of the mirrored photo, mirrored back, agree to, over the face."""
        again = fit_photo(self.reconstructor, np.ascontiguousarray(photo[:, ::-1]))
        if again is None:
            return [Measured(name, _MIRRORED, float("nan")) for name in results]
        measured, model = [], self.reconstructor.model
        for name, method in self.methods.items():
            first, second = vertex_albedo(model, results[name]), vertex_albedo(model, method(again))
            apart = color_difference(second[self._mirror], first, self._face)
            measured.append(Measured(name, _MIRRORED, apart.psnr_db))
        return measured


def textured_truth(reconstructor: Reconstructor, photo: EvaluatedPhoto) -> MethodResult:
    """Our own answer, whose texture carries the photo's colors where it showed the face: what protocols draw."""
    return photo.results.get(REFERENCE) or build_method(reconstructor)(photo.fitted)


def head_yaw_deg(fitted: FittedPhoto) -> float:
    """How far the head is turned in the photo, degrees; positive turns the nose to the viewer's right."""
    rotation = rotation_from_axis_angle(fitted.view.coarse.coefficients.rotation.cpu())
    return float(torch.rad2deg(euler_from_rotation(rotation)[0, 0]))


def _named(method: str, values: Mapping[Metric, float]) -> list[Measured]:
    return [Measured(method, metric, value) for metric, value in values.items()]
