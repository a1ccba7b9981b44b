"""Ways from one photo's coarse face to a painted head: the baselines, the ablations and ours, on the same geometry.

Every method is given the same `FittedPhoto` and may read the photo through its observation alone (ours also through the
UV stage, by the observation's confidence), so that parts of a photo can be held out by changing the observation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coarse.face_model import FaceModel
from gcnface.errors import GcnfaceError
from gcnface.evaluation.records import FittedPhoto, MethodResult
from gcnface.pipeline import Reconstructor
from gcnface.stages.coarse import Stopwatch
from gcnface.stages.texture import TexturePhoto, bake_texture
from refine.baselines import BASELINES, baseline_weights
from refine.diffusion import extend_values
from refine.pyramid import MeshPyramid
from refine.stored import load_refiner

Method = Callable[[FittedPhoto], MethodResult]
Network = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


class MethodUnavailableError(GcnfaceError):
    """What a method needs is not there."""


@dataclass(frozen=True)
class MethodSpec:
    """A method of the table.

    Attributes:
        name: key, what the command line takes.
        title: in tables.
        summary: one sentence.
        build: makes it; raises MethodUnavailableError when something is missing.
        copies_photo: keeps the photo's own colours where they were seen, so that figures against it flatter it.
    """

    name: str
    title: str
    summary: str
    build: Callable[[Reconstructor], Method]
    copies_photo: bool = False


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
    view = reconstructor.fit_face(photo, found[0], watch) if found else None
    if view is None or not view.can_be_trusted:
        return None
    with watch.stage("observe"):
        return FittedPhoto(view, reconstructor.observe(view), view.embedding)


def build_methods(
    reconstructor: Reconstructor, names: Sequence[str], *, strict: bool
) -> tuple[dict[str, Method], dict[str, str]]:
    """The methods by name, and why others were left out.

    Args:
        reconstructor: holds the networks.
        names: keys of `METHODS`.
        strict: raise for a method that is not available instead of leaving it out.

    Raises:
        MethodUnavailableError: a method is not available and `strict` is set.
    """
    built: dict[str, Method] = {}
    left_out: dict[str, str] = {}
    for name in names:
        try:
            built[name] = METHODS[name].build(reconstructor)
        except MethodUnavailableError as error:
            if strict:
                raise
            left_out[name] = str(error)
    return built, left_out


def _result(albedo: Tensor, shading: Tensor, texture: NDArray[np.float32] | None = None) -> MethodResult:
    return MethodResult(albedo.detach().cpu(), shading.detach().cpu(), texture)


def _mean(reconstructor: Reconstructor) -> Method:
    albedo = torch.from_numpy(np.asarray(reconstructor.model.albedo_mean, np.float32))
    return lambda seen: _result(albedo, seen.view.shading[0])


def _coarse(reconstructor: Reconstructor) -> Method:
    return lambda seen: _result(seen.view.coarse.albedo[0], seen.view.shading[0])


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


def _projected(reconstructor: Reconstructor) -> Method:
    pyramid = reconstructor.refiner.pyramid
    mirror = torch.from_numpy(reconstructor.model.mirror.astype(np.int64)).to(reconstructor.device)

    def shade(seen: FittedPhoto) -> MethodResult:
        found = seen.observation
        colors = projected_colors(found.linear, found.confidence, mirror, pyramid)[0]
        return _result(colors, torch.ones_like(colors))

    return shade


def result_of(network: Network, reconstructor: Reconstructor, seen: FittedPhoto) -> MethodResult:
    """A network's own answer: the photo's colours go in, and the answer comes out, by the light of the pipeline.

    That light has cast shadows and highlights in it; all networks were trained with it.
    """
    view, found = seen.view, seen.observation
    with torch.no_grad():
        light = reconstructor.light(view, found)
        answer = network(view.coarse.albedo, found.linear / light, found.confidence[..., None], seen.embedding)
    return _result(answer[0], light[0])


def _from_file(name: str) -> Callable[[Reconstructor], Method]:
    """Builds the network of a weight file of `refine.baselines.baseline_weights`."""

    def build(reconstructor: Reconstructor) -> Method:
        network = _loaded(reconstructor.model, name).to(reconstructor.device)
        return lambda seen: result_of(network, reconstructor, seen)

    return build


def _loaded(model: FaceModel, name: str) -> torch.nn.Module:
    path = baseline_weights(name)
    if not path.is_file():
        raise MethodUnavailableError(f"its weights are missing: {path}; train them (docs/training.md) or leave it out")
    try:
        return load_refiner(model, path)
    except ValueError as error:
        raise MethodUnavailableError(str(error)) from error


def _ours_network(reconstructor: Reconstructor) -> Method:
    return lambda seen: result_of(reconstructor.refiner, reconstructor, seen)


def _ours_vertices(reconstructor: Reconstructor) -> Method:
    def shade(seen: FittedPhoto) -> MethodResult:
        refined = reconstructor.refine(seen.view, seen.observation)
        return MethodResult(refined.albedo, refined.shading, light=refined.light)

    return shade


def _ours(reconstructor: Reconstructor) -> Method:
    def shade(seen: FittedPhoto) -> MethodResult:
        view, refined = seen.view, reconstructor.refine(seen.view, seen.observation)
        sight = TexturePhoto(view.photo, view.screen, refined.light, refined.observation.confidence[0])
        texture = bake_texture(reconstructor.model, refined.albedo, [sight], reconstructor.texture_size)
        return MethodResult(refined.albedo, refined.shading, texture.rgb, refined.light)

    return shade


def _stored(name: str, title: str, *, keeps: bool, weights: str | None = None) -> MethodSpec:
    """A network of a weight file; `keeps` tells whether it keeps the photo's colours where they were seen."""
    key = weights or name
    return MethodSpec(name, title, BASELINES[key], _from_file(key), copies_photo=keeps)


_SPECS = (
    MethodSpec("mean", "mean albedo", "the face model's mean albedo under the estimated light", _mean),
    MethodSpec("coarse", "coarse 3DMM", "the morphable model's own albedo under the estimated light", _coarse),
    MethodSpec(
        "projected",
        "projected colours, mirrored",
        "the photo's colours as they are, light included; mirrored, then continued smoothly where they were not seen",
        _projected,
        copies_photo=True,
    ),
    _stored("image", "CNN on the UV map", keeps=True),
    _stored("dense", "fully connected", keeps=True),
    _stored("paper", "Lin et al., paper", keeps=False),
    _stored("released", "Lin et al., released code", keeps=False),
    _stored("ours_equal", "ours, trained as briefly", keeps=True, weights="equal"),
    _stored("no_pixel", "ours, no pixel loss", keeps=True),
    _stored("no_identity", "ours, no identity loss", keeps=True),
    _stored("no_vertex", "ours, no vertex losses", keeps=True),
    _stored("no_adversarial", "ours, no adversarial loss", keeps=True),
    _stored("no_embedding", "ours, no embedding", keeps=True),
    _stored("no_pyramid", "ours, no pooling", keeps=True),
    MethodSpec(
        "ours_network",
        "ours, network alone",
        "the shipped network's answer under the estimated light",
        _ours_network,
        True,
    ),
    MethodSpec(
        "ours_vertices",
        "ours, vertex colours",
        "what gcnface refine puts on the vertices: the network's answer, with cast light, tones and solved colours",
        _ours_vertices,
        True,
    ),
    MethodSpec("ours", "ours", "the same with the UV stage's texture: what gcnface refine gives", _ours, True),
)

METHODS: dict[str, MethodSpec] = {spec.name: spec for spec in _SPECS}
"""Every method, in the order of the table."""

DEFAULT_METHODS = (
    *("mean", "coarse", "projected", "image", "dense", "paper", "released"),
    *("ours_equal", "ours_vertices", "ours"),
)
"""What is measured when nothing is asked for."""
