"""Ways from one photo's coarse face to a painted head: the baselines, the ablations and ours, on the same geometry.

Every method is given the same `FittedPhoto` and may read the photo through its observation alone (ours also through the
UV stage, by the observation's confidence), so that parts of a photo can be held out by changing the observation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gcnface.evaluation.records import FittedPhoto, MethodResult
from gcnface.evaluation.registries import METHODS, REFERENCE, build_all
from gcnface.pipeline import Reconstructor
from gcnface.stages.coarse import Stopwatch
from gcnface.stages.texture import TexturePhoto, bake_texture
from refine.baselines import baseline_weights
from refine.diffusion import extend_values
from refine.pyramid import MeshPyramid
from refine.stored import load_refiner

Method = Callable[[FittedPhoto], MethodResult]
Network = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


@torch.no_grad()
def fit_photo(
    reconstructor: Reconstructor, photo: NDArray[np.float32], watch: Stopwatch | None = None
) -> FittedPhoto | None:
    """The largest face of a photo after the coarse stage; None when there is no face, or too little of one.

    Args:
        reconstructor: holds the networks.
        photo: (H, W, 3) float32 sRGB in [0, 1].
        watch: times the stages.
    """
    watch = watch or Stopwatch()
    with watch.stage("detect"):
        found = reconstructor.detector.detect(photo)
    view = reconstructor.stages.fit_face(photo, found[0], watch) if found else None
    if view is None or not view.can_be_trusted:
        return None
    with watch.stage("observe"):
        return FittedPhoto(view, reconstructor.stages.observe(view))


def build_method(reconstructor: Reconstructor, name: str = REFERENCE) -> Method:
    """The method of a row of `registries.METHODS`.

    Raises:
        WeightsError: its weights are missing or damaged.
    """
    row = METHODS[name]
    return row.load()(reconstructor, row.weights) if row.weights else row.load()(reconstructor)  # type: ignore[no-any-return]


def build_methods(
    reconstructor: Reconstructor, names: Iterable[str], *, strict: bool
) -> tuple[dict[str, Method], dict[str, str]]:
    """The methods by name, and why others were left out.

    Args:
        reconstructor: holds the networks.
        names: rows of `registries.METHODS`.
        strict: raise for a method that is not available instead of leaving it out.

    Raises:
        WeightsError: the weights of a method are missing or damaged, and `strict` is set.
    """
    chosen = list(names)
    return build_all(METHODS, chosen, lambda row: build_method(reconstructor, row.name), chosen if strict else ())


def _result(albedo: Tensor, shading: Tensor, texture: NDArray[np.float32] | None = None) -> MethodResult:
    return MethodResult(albedo.detach().cpu(), shading.detach().cpu(), texture)


def mean(reconstructor: Reconstructor) -> Method:
    """The face model's mean albedo under the estimated light."""
    albedo = torch.from_numpy(np.asarray(reconstructor.model.albedo_mean, np.float32))
    return lambda fitted: _result(albedo, fitted.view.shading[0])


def coarse(reconstructor: Reconstructor) -> Method:
    """The morphable model's own albedo under the estimated light."""
    return lambda fitted: _result(fitted.view.coarse.albedo[0], fitted.view.shading[0])


def projected_colors(linear: Tensor, confidence: Tensor, mirror: Tensor, pyramid: MeshPyramid) -> Tensor:
    """Colours of a photo, mirrored where they were not seen, continued smoothly where neither side was.

    Args:
        linear: (B, V, 3) linear colours of the photo.
        confidence: (B, V) in [0, 1], how far they were seen.
        mirror: (V,) index of each vertex's mirror image.
        pyramid: of the mesh.

    Returns:
        (B, V, 3) linear.
    """
    own = confidence[..., None]
    other = (1 - own) * own[:, mirror]
    total = own + other
    colors = (own * linear + other * linear[:, mirror]) / total.clamp(min=1e-6)
    return extend_values(colors, total, pyramid)


def projected(reconstructor: Reconstructor) -> Method:
    """The photo's colors, light included, by `projected_colors`."""
    pyramid = reconstructor.stages.pyramid
    mirror = torch.from_numpy(reconstructor.model.mirror.astype(np.int64)).to(reconstructor.stages.device)

    def shade(fitted: FittedPhoto) -> MethodResult:
        found = fitted.observation
        colors = projected_colors(found.linear, found.confidence, mirror, pyramid)[0]
        return _result(colors, torch.ones_like(colors))

    return shade


def result_of(network: Network, reconstructor: Reconstructor, fitted: FittedPhoto) -> MethodResult:
    """A network's own answer: the photo's colours go in, and the answer comes out, by the light of the pipeline.

    That light has cast shadows and highlights in it; all networks were trained with it.
    """
    view, found = fitted.view, fitted.observation
    with torch.no_grad():
        light = reconstructor.stages.light(view, found)
        answer = network(view.coarse.albedo, found.linear / light, found.confidence[..., None], view.embedding)
    return _result(answer[0], light[0])


def stored_network(reconstructor: Reconstructor, weights: str) -> Method:
    """The network of a weight file of `refine.baselines.baseline_weights`.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    network = load_refiner(reconstructor.model, baseline_weights(weights)).to(reconstructor.stages.device)
    return lambda fitted: result_of(network, reconstructor, fitted)


def ours_network(reconstructor: Reconstructor) -> Method:
    """The shipped network's answer alone."""
    refiner = reconstructor.stages.refiner or load_refiner(reconstructor.model)
    return lambda fitted: result_of(refiner, reconstructor, fitted)


def ours_vertices(reconstructor: Reconstructor) -> Method:
    """The vertex colors that the pipeline gives."""

    def shade(fitted: FittedPhoto) -> MethodResult:
        refined = reconstructor.stages.refine(fitted.view, fitted.observation)
        return MethodResult(refined.albedo, refined.shading, light=refined.light)

    return shade


def ours(reconstructor: Reconstructor) -> Method:
    """The vertex colors and the texture that the pipeline gives."""

    def shade(fitted: FittedPhoto) -> MethodResult:
        view, refined = fitted.view, reconstructor.stages.refine(fitted.view, fitted.observation)
        texture_photo = TexturePhoto(view.photo, view.screen, refined.light, refined.observation.confidence[0])
        texture = bake_texture(reconstructor.model, refined.albedo, [texture_photo], reconstructor.options.texture_size)
        return MethodResult(refined.albedo, refined.shading, texture.rgb, refined.light)

    return shade
