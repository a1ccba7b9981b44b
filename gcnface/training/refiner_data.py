"""Samples of the refiner's training: photographs, parts of them hidden on purpose, and their turned copies."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from coarse.face_model import FaceModel, load_face_model
from gcnface.data.faces import PreparedFaces, load_prepared
from gcnface.data.heads import HeadRenders, load_heads
from gcnface.training.configuration import check_least, check_positive
from gcnface.training.loading import DataSettings, TensorBatch, TrainingData, nobody_to_learn_from
from gcnface.training.observations import Observations, Pictures, load_observer, observe


@dataclass(frozen=True)
class RefinerSample(TensorBatch):
    """One picture as the refiner sees it, and what it should have answered.

    Attributes:
        raw: (R,) raw coefficients.
        skin_tone: (3,) factor of the albedo.
        shading: (V, 3) the picture's light at the vertices, linear.
        projected: (V, 3) the picture's colours at the vertices, linear, the light divided out.
        shown: (V, 1) in [0, 1], how far they are handed to the network.
        target: (V, 3) colours of the same face, likewise, of the photograph: for a turned copy those of the first view.
        known: (V, 1) in [0, 1], how far `target` may be believed.
        embedding: (512,) FaceNet.
        image: (3, 224, 224) crop.
        mask: (224, 224) face classes.
    """

    raw: Tensor
    skin_tone: Tensor
    shading: Tensor
    projected: Tensor
    shown: Tensor
    target: Tensor
    known: Tensor
    embedding: Tensor
    image: Tensor
    mask: Tensor

    @property
    def hidden(self) -> Tensor:
        """(V, 1) in [0, 1]: what the network was not shown although it is known."""
        return self.known * (1 - self.shown)


@dataclass(frozen=True)
class RotatedCopies:
    """Photographs turned in depth, and which photograph each was made from.

    Attributes:
        seen: what they show.
        first: (M,) row of the photograph among the photographs' observations.
    """

    seen: Observations
    first: NDArray[np.int64]


@dataclass(frozen=True)
class Hiding:
    """What is hidden of a face that the photo shows, so that the network learns to fill it; lengths in mm."""

    side: float = 0.6
    """Share of samples of which one side of a plane is hidden, as if the head were turned away."""
    side_spread: tuple[float, float, float] = (1.0, 0.3, 0.2)
    """Deviations of the plane's normal in x, y and z: mostly to the left or right, as heads turn."""
    side_edge: tuple[float, float] = (-15.0, 55.0)
    """How far from the head's origin the plane lies: from half of the face hidden to nearly nothing."""
    side_blur: float = 6.0
    """Width of the plane's soft edge."""
    balls: int = 3
    """Most balls on the surface that are hidden, as if hair, glasses or hands covered them; none to so many."""
    ball_radius: tuple[float, float] = (8.0, 38.0)
    """Smallest and largest radius of a ball: from a finger to a hand."""
    ball_blur: float = 4.0
    """Width of a ball's soft edge."""

    def __post_init__(self) -> None:
        check_least(self, side=0, balls=0)
        check_positive(self, "side_blur", "ball_blur")
        for name in ("side_edge", "ball_radius"):
            low, high = getattr(self, name)
            if not low <= high:
                raise ValueError(f"{name} is {[low, high]}; expected the smaller value first")

    def keep(self, points: Tensor, spots: Tensor, random: torch.Generator) -> Tensor:
        """(V, 1) smooth mask of what stays visible.

        Args:
            points: (V, 3) vertices, mm.
            spots: (S,) vertices that balls may lie on.
            random: what is drawn from.
        """
        keep = torch.ones(len(points))
        if torch.rand((), generator=random) < self.side:
            direction = torch.randn(3, generator=random) * torch.tensor(self.side_spread)
            distance = points @ (direction / direction.norm())
            edge = _between(self.side_edge, random)
            keep = keep * ((edge - distance) / self.side_blur + 0.5).clamp(0, 1)
        for _ in range(int(torch.randint(0, self.balls + 1, (), generator=random))):
            center = points[spots[torch.randint(len(spots), (), generator=random)]]
            away = (points - center).norm(dim=1) - _between(self.ball_radius, random)
            keep = keep * (away / self.ball_blur + 0.5).clamp(0, 1)
        return keep[:, None]


def _between(limits: tuple[float, float], random: torch.Generator) -> Tensor:
    low, high = limits
    return torch.rand((), generator=random) * (high - low) + low


class RefinerDataset(Dataset[RefinerSample]):
    """Photographs with a part of what was seen hidden at random, and turned copies that hide a side by themselves.

    What is hidden `Hiding` says. Of a turned copy the hidden side is known from the first view.

    Args:
        photographs: what they show.
        chosen: (N,) bool, which of them to give out, their copies included.
        model: the face model.
        copies: of the photographs; None for none.
        fixed: what is hidden of a sample depends on its number alone, as is fit to check with; else torch's generator
            decides anew each time.
        hiding: how much is hidden.
    """

    stack = staticmethod(RefinerSample.stack)

    def __init__(
        self,
        photographs: Observations,
        chosen: NDArray[np.bool_],
        model: FaceModel,
        copies: RotatedCopies | None = None,
        *,
        fixed: bool = False,
        hiding: Hiding,
    ) -> None:
        self.photographs, self.copies, self.fixed, self.hiding = photographs, copies, fixed, hiding
        self.rows = np.nonzero(chosen)[0]
        self.rotated = np.nonzero(chosen[copies.first if copies is not None else []])[0]
        self.points = torch.from_numpy(model.mean)
        self.spots = torch.nonzero(torch.from_numpy(model.region.astype(np.int64)) <= 1)[:, 0]

    def __len__(self) -> int:
        return len(self.rows) + len(self.rotated)

    def __getitem__(self, index: int) -> RefinerSample:
        random = torch.Generator().manual_seed(index if self.fixed else int(torch.randint(2**62, ())))
        if index < len(self.rows):
            return self._sample(self.photographs, self.rows[index], self.rows[index], random)
        assert self.copies is not None
        copy = self.rotated[index - len(self.rows)]
        return self._sample(self.copies.seen, copy, self.copies.first[copy], random)

    def _sample(self, seen: Observations, row: int, first: int, random: torch.Generator) -> RefinerSample:
        return RefinerSample(
            raw=torch.from_numpy(seen.raw[row].copy()),
            skin_tone=torch.from_numpy(seen.skin_tone[row].copy()),
            shading=_float(seen.shading[row]),
            projected=_float(seen.projected[row]),
            shown=_share(seen.confidence[row])[:, None] * self.hiding.keep(self.points, self.spots, random),
            target=_float(self.photographs.projected[first]),
            known=_share(self.photographs.confidence[first])[:, None],
            embedding=torch.from_numpy(seen.embedding[row].copy()),
            image=_share(seen.image[row]).permute(2, 0, 1).contiguous(),
            mask=_share(seen.mask[row]),
        )


def _float(values: NDArray[np.float16]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _share(values: NDArray[np.uint8]) -> Tensor:
    """0..255 to [0, 1]."""
    return torch.from_numpy(values.astype(np.float32) / 255)


@dataclass(frozen=True, kw_only=True)
class RefinerDataSettings(DataSettings):
    """What `RefinerData` takes."""

    heads: Path | None = None
    """Rendered heads of the same faces (`python -m gcnface.building.rendered_heads`), for their turned copies."""
    observations: Path = Path("runs/observations")
    """Where to keep what was observed; runs share what is equal."""
    drawn_faces: int = 700
    """Drawn faces to learn from, beside all photographs; with `heads`, of those that have some."""
    copies: int = 0
    """Turned copies of each face; 0 takes all there are."""
    faces_an_epoch: int = 0
    """Faces, drawn at random, that make an epoch; 0 takes all."""
    batch_size: int = 2
    """Faces in a step, of each process; fewer where there are not so many."""
    hiding: Hiding = field(default_factory=Hiding)
    """What is hidden of each face on purpose."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, drawn_faces=0, copies=0, faces_an_epoch=0)


class RefinerData(TrainingData):
    """Observed photographs with parts hidden, and their turned copies; photographs of held-out people.

    Everything is observed once, by the first process of a run.
    """

    settings: RefinerDataSettings

    def __init__(self, **settings: Any) -> None:
        super().__init__(RefinerDataSettings(**settings))
        self.limit = self.settings.faces_an_epoch

    def prepare_data(self) -> None:
        """Observe what is not kept yet; the processes of a run then find it."""
        self.datasets()

    def datasets(self) -> tuple[RefinerDataset, RefinerDataset]:
        """What to learn from and, of held-out people, what to check with."""
        s, faces, observer = self.settings, load_prepared(self.settings.faces), load_observer(load_face_model())
        heads = load_heads(s.heads, faces) if s.heads is not None else None
        rows = self._rows(faces, heads)
        seen = observe(Pictures(faces.canvases, rows), observer, s.observations / "photographs")
        copies = None
        if heads is not None:
            views = chosen_views(heads, rows, s.copies)
            rotated = observe(Pictures(heads.canvases, views), observer, s.observations / "turned")
            copies = RotatedCopies(rotated, np.searchsorted(rows, heads.person[views]))
        held_out, model = faces.validation[rows], observer.stage.model
        learn = RefinerDataset(seen, ~held_out, model, copies, hiding=s.hiding)
        return learn, RefinerDataset(seen, held_out & ~faces.drawn[rows], model, fixed=True, hiding=s.hiding)

    def _rows(self, faces: PreparedFaces, heads: HeadRenders | None) -> NDArray[np.int64]:
        """The faces that are observed: all photographs, and the first so many drawn ones."""
        usable = np.arange(len(faces)) if heads is None else np.unique(heads.person)
        drawn = usable[faces.drawn[usable]][: self.settings.drawn_faces]
        rows = np.sort(np.concatenate([usable[~faces.drawn[usable]], drawn]))
        if not (~faces.validation[rows]).any():
            raise nobody_to_learn_from(self.source)
        return rows


def chosen_views(heads: HeadRenders, rows: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """The photographic views of some faces, at most so many of each; 0 for all."""
    views = np.nonzero(heads.photographic & np.isin(heads.person, rows))[0]
    first = np.zeros(len(views), bool)
    for person in np.unique(heads.person[views]):
        first[np.flatnonzero(heads.person[views] == person)[:limit]] = True
    return views[first] if limit else views
