"""Training of the spatial transformer's localiser from photographs and 2D landmarks (Bas et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from coarse.face_model import load_face_model
from coarse.losses import landmark_distance_loss
from coarse.spatial_transformer import losses
from coarse.spatial_transformer.localizer import Localizer, load_localizer
from coarse.spatial_transformer.losses import TransformerLossWeights
from coarse.spatial_transformer.sampling import POINT_SELECTIONS, LandmarkSelection
from coarse.spatial_transformer.theta import Theta, theta_layout_of
from coarse.spatial_transformer.transformer import FlattenedTexture, SpatialTransformer
from gcnface.photo.crop import CROP_SIDE_PX
from gcnface.training.configuration import check_least
from gcnface.training.crops import CropBatch, CropData, CropDataset, CropSettings, mirror468
from gcnface.training.module import ModuleSettings, TrainingModule

Pairs = Literal["flip", "person"]
"""What the siamese loss compares: a photo and its mirror image, or two photos of a person."""


@dataclass(frozen=True, kw_only=True)
class StnDataSettings(CropSettings):
    """What `StnData` takes."""

    heads: Path | None = None
    """Folder of rendered heads, which show profiles as photographs seldom do; of them too the 2D landmarks alone are
    used. None trains on the photographs alone, as published."""
    pairs: Pairs = "flip"
    """What the siamese loss compares, as the module is told: a photo and its mirror image, or two of a person."""
    batch_size: int = 24
    """Photos in a step, of each process; fewer where there are not so many."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heads is not None and self.pairs == "person":
            raise ValueError('heads are given and pairs is "person"; rendered heads go with pairs "flip" alone')


class StnData(CropData):
    """Augmented crops, or pairs of them that show one person; unchanged ones of held-out people."""

    settings: StnDataSettings

    def __init__(self, **settings: Any) -> None:
        super().__init__(StnDataSettings(**settings))

    def datasets(self) -> tuple[Dataset[Any], CropDataset]:
        """Crops or pairs to learn from, and crops of held-out people's photographs."""
        learn, check = super().datasets()
        if self.settings.pairs == "person":
            assert isinstance(learn, CropDataset)
            learn = PersonPairs(learn, self.prepared.identities[learn.rows])
        return learn, check


@dataclass(frozen=True, kw_only=True)
class StnSettings(ModuleSettings):
    """What `StnModule` takes."""

    start: Path | None = None
    """Weights to go on from; None starts anew."""
    backbone: Literal["light", "resnet50", "vgg16"] = "light"
    """Network of the localiser: "light" (ships), "resnet50" or "vgg16" (as published, without its weights)."""
    identity: int = 40
    """Number of identity components in theta; published: 10."""
    expression: int = 52
    """Number of expression units in theta; published: 0."""
    side: int = 64
    """Texels a side of the grid in training; published: 112."""
    visibility: Literal["normals", "depth"] = "normals"
    """What decides which texels are seen: "normals" (as published, quick) or "depth" (a depth buffer)."""
    pairs: Pairs = "flip"
    """What the siamese loss compares: a photo and its mirror image ("flip"), or two photos of a person ("person")."""
    points: Literal["468", "21"] = "468"
    """Landmarks that count: "468", or the published "21"."""
    own_visibility: bool = False
    """Leave out landmarks that the fitted grid hides. The published labels say which are; our 468 points hold for
    hidden ones too."""
    skin_only: bool = True
    """Compare textures on skin alone, by the label maps; hair, glasses and occluders are no more symmetric than faces
    need be. Faces without a label map then teach by their landmarks."""
    paired: int = 8
    """How many photos of a batch are also seen as mirror images; published: all. With `pairs` "person" each has its
    partner."""
    landmark_distance: float = 0.0
    """Weight of the mean distance over face size, which the squared distance alone does not sharpen; not published."""
    weights: TransformerLossWeights = field(default_factory=TransformerLossWeights)
    """Weights of the published losses."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, identity=1, expression=0, side=2, paired=0)
        if self.start is not None and self.backbone != "light":
            raise ValueError("start holds weights of the light backbone; choose backbone=light or leave start out")


@dataclass(frozen=True)
class PairedCrops:
    """Crops of which the first and the last `pairs` show the same faces twice, in the same order.

    Attributes:
        image: (N, 3, 224, 224) sRGB.
        landmarks: (N, 468, 2) crop px.
        skin: (N, 224, 224) in [0, 1].
        pairs: how many pairs there are.
    """

    image: Tensor
    landmarks: Tensor
    skin: Tensor
    pairs: int


class StnModule(TrainingModule):
    """The localiser, the fixed transformer behind it, the losses and the optimiser."""

    settings: StnSettings
    mirror: Tensor
    stem = "stn"
    warm_up = 0.15
    within_batch = ("paired",)
    links = (("model.pairs", "data.pairs"),)

    def __init__(self, **settings: Any) -> None:
        super().__init__(StnSettings(**settings))
        model, s = load_face_model(), self.settings
        self.layout = theta_layout_of(model, s.identity, s.expression)
        self.network = Localizer(self.layout, s.backbone)
        self.transformer = SpatialTransformer(
            model, s.side, identity=s.identity, expression=s.expression, visibility=s.visibility
        )
        self.select = LandmarkSelection(POINT_SELECTIONS[s.points])
        self.register_buffer("mirror", torch.from_numpy(mirror468()), persistent=False)

    def started(self) -> Localizer | None:
        """The localiser to go on from."""
        start = self.settings.start
        return None if start is None else load_localizer(self.layout, start)

    def training_step(self, batch: CropBatch, index: int) -> Tensor:
        """One step; the geometry stays in full precision whatever the network uses."""
        if self.settings.pairs == "person":
            views = PairedCrops(batch.image, batch.landmarks, batch.skin, len(batch.image) // 2)
        else:
            views = with_mirror_images(batch, self.mirror, self.settings.paired)
        raw = self.network(views.image.contiguous(memory_format=torch.channels_last))
        with torch.autocast(raw.device.type, enabled=False):
            terms = self._terms(self.layout.decode(raw.float()), views)
        return self.log_total(terms)

    def validation_step(self, batch: CropBatch, index: int) -> None:
        """The reported figure, in percent."""
        raw = self.network(batch.image)
        with torch.autocast(raw.device.type, enabled=False):
            points = self.transformer.landmarks(self.layout.decode(raw.float()))
            figure = 100 * landmark_distance_loss(points, batch.landmarks)
        self.log("valid/landmarks_percent", figure, prog_bar=True, batch_size=len(points))

    def pictures(self, batch: CropBatch) -> Tensor:
        """(B, 3, 224, 448) sRGB: each held-out crop beside its flattened texture, grey where hidden."""
        theta = self.layout.decode(self.network(batch.image).float())
        flat = self.transformer(batch.image, theta)
        shown = torch.where(flat.mask[:, None], flat.texture, torch.full_like(flat.texture, 0.5))
        size = [CROP_SIDE_PX, CROP_SIDE_PX]
        return torch.cat([batch.image, torch.nn.functional.interpolate(shown, size, mode="nearest")], dim=3)

    def biases(self) -> Sequence[Tensor | nn.Parameter]:
        """Of the head."""
        return [self.network.head.bias]

    def _terms(self, theta: Theta, views: PairedCrops) -> dict[str, Tensor]:
        """The weighted losses."""
        s, w = self.settings, self.settings.weights
        points = self.transformer.landmarks(theta)
        flat = self.transformer(torch.cat([views.image, views.skin[:, None]], dim=1), theta)
        visible = self.select(self.transformer.landmark_visibility(flat.mask)[..., None])[..., 0]
        landmarks = losses.landmark_loss(
            self.select(points), self.select(views.landmarks), visible if s.own_visibility else None
        )
        terms = {
            "landmarks": w.landmarks * landmarks,
            "prior": w.prior * losses.prior_loss(theta.alpha),
            "range": w.expression_range * losses.range_loss(theta.expression),
            **self._texture_terms(flat, views.pairs),
        }
        if s.landmark_distance:
            terms["distance"] = s.landmark_distance * landmark_distance_loss(points, views.landmarks)
        return terms

    def _texture_terms(self, flat: FlattenedTexture, count: int) -> dict[str, Tensor]:
        """Siamese and symmetry losses of textures whose last channel is the skin map."""
        w, last = self.settings.weights, len(flat.texture) - count
        colors, skin = flat.texture[:, :3], flat.texture[:, 3].detach()
        mask = flat.mask * skin if self.settings.skin_only else flat.mask.to(skin)
        siamese = losses.siamese_loss(colors[:count], colors[last:], mask[:count], mask[last:])
        return {"siamese": w.siamese * siamese, "symmetry": w.symmetry * losses.symmetry_loss(colors, mask)}


def with_mirror_images(batch: CropBatch, mirror: Tensor, count: int) -> PairedCrops:
    """A batch of B, and behind it the mirror images of its first `count`.

    Args:
        batch: (B, ...).
        mirror: (468,) index of the landmark that each one becomes.
        count: how many; fewer where the batch has fewer.
    """
    points = batch.landmarks[:count]
    flipped = torch.stack([CROP_SIDE_PX - points[..., 0], points[..., 1]], dim=-1)
    return PairedCrops(
        image=torch.cat([batch.image, batch.image[:count].flip(3)]),
        landmarks=torch.cat([batch.landmarks, flipped[:, mirror]]),
        skin=torch.cat([batch.skin, batch.skin[:count].flip(2)]),
        pairs=len(points),
    )


class PersonPairs(Dataset[tuple[CropBatch, CropBatch]]):
    """A crop and one of another photo of the same person, drawn anew each time; of the same photo where there is no
    other.

    Args:
        crops: the crops.
        identities: (len(crops),) whom they show.
    """

    def __init__(self, crops: CropDataset, identities: NDArray[np.str_]) -> None:
        self.crops = crops
        groups = {name: np.flatnonzero(identities == name) for name in np.unique(identities)}
        others = [groups[name][groups[name] != row] for row, name in enumerate(identities)]
        self.others = [found if len(found) else np.array([row]) for row, found in enumerate(others)]

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: int) -> tuple[CropBatch, CropBatch]:
        others = self.others[index]
        return self.crops[index], self.crops[int(others[int(torch.randint(len(others), ()))])]

    @staticmethod
    def stack(pairs: list[tuple[CropBatch, CropBatch]]) -> CropBatch:
        """Collate: all first crops, then all second ones."""
        return CropBatch.stack([one for one, _ in pairs] + [other for _, other in pairs])
