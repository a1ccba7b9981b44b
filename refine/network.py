"""The texture refiner: a face's albedo at every vertex, from what a photo shows and what model and identity suggest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from coarse.face_model import FaceModel
from refine.decoder import DecoderConfig, GraphDecoder
from refine.diffusion import extend_values
from refine.encoding import decode_albedo, encode_albedo
from refine.flat_network import FlatConfig, FlatGraphNet
from refine.image_network import ImageUNet, ImageUNetConfig
from refine.layout import concatenate
from refine.pyramid import MeshPyramid
from refine.refiner import CombineNet, GraphRefiner, RefinerConfig
from refine.unet import GraphUNet, UNetConfig
from refine.uv_layout import UVLayout
from render.shapes import check_shape

GATE_GAIN = 4.0
"""Gates start at 0 and have to open fully: the gain gets them there in fewer steps."""


@dataclass(frozen=True)
class TextureRefinerConfig:
    """Layout of `TextureRefiner`."""

    combine: Literal["residual", "tanh"] = "residual"
    """"residual" keeps the photo where it was seen and fills the rest; "tanh" is the paper's three networks."""
    network: Literal["graph", "image", "flat"] = "graph"
    """Residual mode, what answers: a graph U-Net over the pyramid, or, to compare with, a convolutional network on the
    UV map ("image") or graph blocks on the finest level alone ("flat")."""
    conditioned: bool = True
    """Tell the network the FaceNet embedding; without, it is told zeros."""
    visibility: bool = True
    """Show the network how far each vertex was seen."""
    masked: bool = True
    """What was not seen shows the model's colour; without, the network is shown whatever the photo has there."""
    mirrored: bool = True
    """Also show the network the photo's colours of each vertex's mirror image."""
    diffused: bool = True
    """Also show it the seen colours' offset from the model, continued smoothly over what was not seen."""
    detail_limit: float = 0.1
    """Residual mode: the most that seen colours are changed, in encoded units (the range of [0, 1] albedo is 2)."""
    brightest: float = 4.0
    """Residual mode: largest linear albedo kept; above 1 only where highlights or too dark a light were divided out."""
    completion: UNetConfig = field(default_factory=UNetConfig)
    """Residual mode: the graph U-Net; order 1 makes it fully connected, each vertex by itself."""
    image: ImageUNetConfig = field(default_factory=ImageUNetConfig)
    """Residual mode: the network on the UV map."""
    flat: FlatConfig = field(default_factory=FlatConfig)
    """Residual mode: the network without a pyramid."""
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    """Tanh mode: the paper's decoder."""
    refiner: RefinerConfig = field(default_factory=RefinerConfig)
    """Tanh mode: the paper's refiner; its in_channels must fit `mirrored` and `diffused`."""
    combine_order: int = 6
    """Tanh mode: Chebyshev polynomials of the combine net."""

    def __post_init__(self) -> None:
        if self.combine not in ("residual", "tanh"):
            raise ValueError(f'combine is {self.combine!r}; choose "residual" or "tanh"')
        if self.network not in ("graph", "image", "flat"):
            raise ValueError(f'network is {self.network!r}; choose "graph", "image" or "flat"')
        if self.combine == "residual" and not self.masked:
            raise ValueError("masked=False shows colours that were not seen, which residual mode must not keep")
        if not 0 <= self.detail_limit <= 2 or not self.brightest >= 1 or self.combine_order < 1:
            raise ValueError(
                f"detail_limit {self.detail_limit} must be in 0..2, brightest {self.brightest} 1 or more, "
                f"combine_order {self.combine_order} 1 or more"
            )
        if self.combine == "tanh" and self.refiner.in_channels != self.in_channels:
            raise ValueError(
                f"refiner.in_channels is {self.refiner.in_channels}, but visibility={self.visibility}, mirrored="
                f"{self.mirrored} and diffused={self.diffused} give {self.in_channels}: set it, or start from "
                "paper_config()"
            )

    @property
    def in_channels(self) -> int:
        """Channels of the vertex features: two colours, visibility, mirrored offset and visibility, diffused offset."""
        return 6 + self.visibility + 4 * self.mirrored + 3 * self.diffused


def paper_config() -> TextureRefinerConfig:
    """The text of Lin et al. 2020: model and projected colours; decoder, refiner and tanh combination; ReLU."""
    return TextureRefinerConfig(
        combine="tanh",
        visibility=False,
        masked=False,
        mirrored=False,
        diffused=False,
        brightest=1.0,
        refiner=RefinerConfig(in_channels=6),
    )


def released_config() -> TextureRefinerConfig:
    """The authors' code where it differs: visibility is a seventh channel and masks the projected colours; ELU."""
    paper = paper_config()
    return replace(
        paper,
        visibility=True,
        masked=True,
        decoder=replace(paper.decoder, activation="elu"),
        refiner=replace(paper.refiner, in_channels=7, activation="elu"),
    )


@dataclass(frozen=True)
class Evidence:
    """What is known of each vertex, in encoded colours (`refine.encoding`).

    Attributes:
        coarse: (B, V, 3) the model's colour.
        seen: (B, V, 1) in [0, 1].
        projected: (B, V, 3) the photo's colour; the model's where nothing was seen.
        mirror_seen: (B, V, 1) `seen` of the mirror vertex.
        mirror_offset: (B, V, 3) offset of the mirror vertex's photo colour from its model colour, times mirror_seen.
        diffused: (B, V, 3) offset of the photo's colours from the model's, continued over what was not seen.
    """

    coarse: Tensor
    seen: Tensor
    projected: Tensor
    mirror_seen: Tensor
    mirror_offset: Tensor
    diffused: Tensor


class TextureRefiner(nn.Module):
    r"""Refined albedo of every vertex in one forward pass.

    Residual mode (the default; all colours encoded): a graph U-Net answers, per vertex, an offset :math:`\delta`, a
    detail :math:`\epsilon` and two gates :math:`m, d`:

    .. math::
        \mathrm{fill} &= C + \tanh(4 m)\, M + \tanh(4 d)\, D + \delta \\
        \mathrm{out} &= s\, P + (1 - s)\, \mathrm{fill} + \lambda \tanh(\epsilon / \lambda)

    with the model's colours C, the photo's P, how far they were seen s, the mirrored photo's offset M (times its own
    visibility), the diffused offset D and the limit :math:`\lambda`. All answers start at 0: a new network returns the
    photo where it was seen and the model elsewhere. Tanh mode is the paper's: combine(decoder(e), refiner(features)).

    Args:
        config: layout.
        pyramid: of the face model.
        mirror: (V,) index of each vertex's mirror image; needed when the configuration mirrors.
        layout: the UV map; needed when the network works on it.

    Shapes:
        coarse_albedo (B, V, 3), projected_albedo (B, V, 3), seen (B, V, 1), embedding (B, 512); output (B, V, 3).

    Raises:
        ValueError: the mirror table or the UV map is missing, or the pyramid's depth does not fit.
    """

    mirror: Tensor
    topology: Tensor

    def __init__(
        self,
        config: TextureRefinerConfig,
        pyramid: MeshPyramid,
        mirror: ArrayLike | None = None,
        layout: UVLayout | None = None,
    ) -> None:
        super().__init__()
        count = pyramid.vertex_counts[0]
        if config.mirrored and mirror is None:
            raise ValueError("the configuration mirrors, but no mirror table was given: pass one or set mirrored=False")
        table = torch.arange(count) if mirror is None else torch.as_tensor(mirror).long()
        if table.shape != (count,):
            raise ValueError(f"mirror has shape {tuple(table.shape)}; the mesh has {count} vertices")
        self.config = config
        self.pyramid = pyramid
        self.register_buffer("mirror", table, persistent=False)
        self.register_buffer("topology", pyramid.topology.clone())
        if config.combine == "tanh":
            self.decoder = GraphDecoder(config.decoder, pyramid)
            self.refiner = GraphRefiner(config.refiner, pyramid)
            self.combine = CombineNet(pyramid.laplacian(0), order=config.combine_order)
        else:
            self.completion = _completion(config, pyramid, layout)

    @classmethod
    def from_face_model(cls, model: FaceModel, config: TextureRefinerConfig | None = None) -> TextureRefiner:
        """An untrained refiner on a face model's own pyramid."""
        config = config or TextureRefinerConfig()
        on_map = config.combine == "residual" and config.network == "image"
        layout = UVLayout(model, config.image.side) if on_map else None
        return cls(config, MeshPyramid(model.levels), model.mirror, layout)

    def forward(self, coarse_albedo: Tensor, projected_albedo: Tensor, seen: Tensor, embedding: Tensor) -> Tensor:
        """Refine.

        Args:
            coarse_albedo: (B, V, 3) the model's albedo, linear.
            projected_albedo: (B, V, 3) the photo's colours at the vertices with the light divided out, linear; never
                read where `seen` is 0.
            seen: (B, V, 1) in [0, 1]: how far a vertex is visible and shows what it should (not hair, not glasses).
            embedding: (B, E) FaceNet embedding of the photo, unit length.

        Returns:
            (B, V, 3) linear albedo in [0, brightest].

        Raises:
            ShapeError: shapes disagree.
        """
        count = self.pyramid.vertex_counts[0]
        batch = check_shape("coarse_albedo", coarse_albedo, "B V 3", V=count)["B"]
        check_shape("projected_albedo", projected_albedo, "B V 3", B=batch, V=count)
        check_shape("seen", seen, "B V 1", B=batch, V=count)
        evidence = self._evidence(coarse_albedo, projected_albedo, seen)
        if not self.config.conditioned:
            embedding = torch.zeros_like(embedding)
        combine = self._paper if self.config.combine == "tanh" else self._residual
        with torch.autocast(seen.device.type, enabled=False):
            return decode_albedo(combine(evidence, embedding.float()), self.config.brightest)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        found = state_dict.get(f"{prefix}topology")
        if found is not None and not torch.equal(found.cpu(), self.topology.cpu()):
            raise ValueError(
                f"these weights were learned on a mesh pyramid of {found[:, 0].tolist()} vertices, this one has "
                f"{list(self.pyramid.vertex_counts)}, or other faces: load the face model they were trained with"
            )
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _evidence(self, coarse_albedo: Tensor, projected_albedo: Tensor, seen: Tensor) -> Evidence:
        brightest = self.config.brightest
        coarse = encode_albedo(coarse_albedo, brightest)
        projected = encode_albedo(projected_albedo, brightest)
        if self.config.masked:
            projected = torch.where(seen > 0, projected, coarse)
        offset = seen * (projected - coarse)
        diffused = extend_values(projected - coarse, seen, self.pyramid) if self.config.diffused else offset
        return Evidence(coarse, seen, projected, seen[:, self.mirror], offset[:, self.mirror], diffused)

    def _features(self, evidence: Evidence) -> Tensor:
        parts = [evidence.coarse, evidence.projected]
        if self.config.visibility:
            parts.append(evidence.seen)
        if self.config.mirrored:
            parts += [evidence.mirror_offset, evidence.mirror_seen]
        if self.config.diffused:
            parts.append(evidence.diffused)
        return concatenate(*parts)

    def _paper(self, evidence: Evidence, embedding: Tensor) -> Tensor:
        return self.combine(self.decoder(embedding), self.refiner(self._features(evidence)))

    def _residual(self, evidence: Evidence, embedding: Tensor) -> Tensor:
        answer = self.completion(self._features(evidence), embedding)
        fill = evidence.coarse + answer[..., :3]
        if self.config.mirrored:
            fill = fill + torch.tanh(GATE_GAIN * answer[..., 6:7]) * evidence.mirror_offset
        if self.config.diffused:
            fill = fill + torch.tanh(GATE_GAIN * answer[..., -1:]) * evidence.diffused
        base = evidence.seen * evidence.projected + (1.0 - evidence.seen) * fill
        limit = self.config.detail_limit
        return base + limit * torch.tanh(answer[..., 3:6] / limit) if limit else base


def _completion(config: TextureRefinerConfig, pyramid: MeshPyramid, layout: UVLayout | None) -> nn.Module:
    """What answers in residual mode: (B, V, in_channels) and (B, E) to (B, V, 6 to 8)."""
    answers = 6 + config.mirrored + config.diffused
    if config.network == "flat":
        return FlatGraphNet(config.in_channels, answers, config.flat, pyramid)
    if config.network == "image":
        if layout is None:
            raise ValueError("the network works on the UV map, but none was given: use TextureRefiner.from_face_model")
        return ImageUNet(config.in_channels, answers, config.image, layout)
    return GraphUNet(config.in_channels, answers, config.completion, pyramid)
