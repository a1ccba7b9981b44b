"""What identity and confidence learn from: photographs and rendered heads by person, labels, and a backbone's features.

All of it is computed once and kept in a folder, so that training itself takes seconds.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from coarse.coefficients import Coefficients
from coarse.confidence import backbone_checksum
from coarse.decomposition import decompose
from coarse.face_model import FaceModel, load_face_model
from coarse.fitting import LandmarkFitting, fit_landmarks
from coarse.morphable import MorphableModel, crop_camera, layout_of
from coarse.regressor import CoefficientRegressor, load_regressor
from coarse.set_aggregation import pool_labels, residual_confidence
from gcnface.data.caches import Cache, fingerprint, fingerprint_of_rows
from gcnface.data.faces import CANVAS_PX, PreparedFaces, load_prepared
from gcnface.data.heads import HeadRenders, load_heads
from gcnface.photo.crop import CROP_SIDE_PX, warp_points
from gcnface.stages.observation import class_maps, observe_vertices
from gcnface.training.augment import Augmentation, augmented_view, sample_rng
from gcnface.training.configuration import check_least
from gcnface.training.loading import DataSettings, TrainingData

_log = logging.getLogger(__name__)

_AUGMENTATION = Augmentation(flip=0.0, shift_px=5.0, scale=0.05, angle_rad=0.1)
"""Small: crops are aligned when the network is used. A mirrored face would be another person."""

CODE_VERSION = 1
"""To be raised with every change of the code by which labels or features become others."""

_BATCH = 64
_FIT_BATCH = 1024


@dataclass(frozen=True)
class Labels:
    """Coefficients behind photographs and, after them, rendered heads.

    Attributes:
        fitted: (N, Ni) identity from each picture's own landmarks.
        residual: (N,) mean landmark distance of that fit over the size of the face.
        true: (N, Ni) identity of rendered heads; the fitted one for photographs.
        albedo: (N, Na) from each photograph's colours; a head has that of the photograph it was made from.
        person: (N,) int64; photographs and heads of one person are two persons here.
        head: (N,) bool.
        validation: (N,) bool.
    """

    fitted: Tensor
    residual: Tensor
    true: Tensor
    albedo: Tensor
    person: Tensor
    head: Tensor
    validation: Tensor

    def identity(self, *, truth: bool, pooled: bool) -> Tensor:
        """(N, Ni) the label: true where it is known and wanted, else fitted, pooled over a person's pictures or not."""
        fitted = self.fitted
        if pooled:
            fitted = pool_labels(fitted, residual_confidence(self.residual), self.person)
        return torch.where(self.head[:, None], self.true, fitted) if truth else fitted


@dataclass(frozen=True)
class PersonViews:
    """Labels and features of K windows of each picture.

    Attributes:
        labels: of N pictures.
        features: (K, N, F); the first window as it is, the others changed at random.
        landmarks: (K, N, 468, 2) crop px.
    """

    labels: Labels
    features: Tensor
    landmarks: Tensor


def prepare_views(
    faces: PreparedFaces, heads: HeadRenders, regressor: CoefficientRegressor, folder: Path, windows: int
) -> PersonViews:
    """Labels and features of all photographs (drawn faces aside) and heads; kept in `folder` for the next call.

    Labels are computed once for the data; features once for each backbone and number of windows.

    Raises:
        FileError: what was kept is damaged.
    """
    model = load_face_model()
    rows = np.nonzero(~faces.drawn)[0]
    data = _made_from(faces, np.union1d(rows, heads.person), heads)

    def labels() -> dict[str, NDArray]:
        found = compute_labels(model, faces, rows, heads)
        return {f.name: getattr(found, f.name).numpy() for f in fields(Labels)}

    of_labels = {**data, "face_model": fingerprint(replace(model, cage=None))}
    of_features = {**data, "backbone": backbone_checksum(regressor), "windows": windows}
    known = Cache(folder, "labels", of_labels).arrays(labels)
    seen = Cache(folder, "features", of_features).arrays(lambda: _features(faces, rows, heads, regressor, windows))
    return PersonViews(Labels(**_tensors(known)), **_tensors(seen))


@dataclass(frozen=True, kw_only=True)
class ViewSettings(DataSettings):
    """What data modules of views of persons take."""

    heads: Path = Path("runs/heads")
    """Folder of rendered heads, several of each person (`python -m gcnface.building.rendered_heads`)."""
    views: Path = Path("runs/person_views")
    """Folder in which labels and features are kept between runs."""
    windows: int = 1
    """Windows of each picture whose features are computed; beyond the first they are changed at random."""
    regressor: Path | None = None
    """Regressor that gives features and first answers, the module's own; None takes the one that ships."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, windows=1)


class ViewData(TrainingData):
    """What is computed of persons' pictures, once, by the first process of a run."""

    settings: ViewSettings
    prepared: PreparedFaces
    heads: HeadRenders

    def prepare_data(self) -> None:
        """Compute labels and features; the processes of a run then find them."""
        self.views()

    def views(self) -> tuple[PersonViews, CoefficientRegressor]:
        """The views, and the regressor that gave their features, which nothing trains."""
        s = self.settings
        regressor = load_regressor(layout_of(load_face_model()), s.regressor).requires_grad_(False)
        self.prepared = load_prepared(s.faces)
        self.heads = load_heads(s.heads, self.prepared)
        return prepare_views(self.prepared, self.heads, regressor, s.views, s.windows), regressor


def _tensors(arrays: Mapping[str, NDArray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _made_from(faces: PreparedFaces, rows: NDArray[np.int64], heads: HeadRenders) -> dict[str, str | int]:
    """Digests of the data: the faces `rows` and all heads, their pictures and all that is known of them."""
    known = [faces.landmarks[rows], faces.identities[rows], faces.validation[rows], faces.drawn[rows]]
    return {
        "code": CODE_VERSION,
        "faces": fingerprint(rows, *known),
        "canvases": fingerprint_of_rows(faces.canvases, rows),
        "parsing": fingerprint_of_rows(faces.labels, rows),
        "heads": fingerprint([getattr(heads, f.name) for f in fields(heads) if f.name != "canvases"]),
        "head_canvases": fingerprint_of_rows(heads.canvases, range(len(heads))),
    }


def compute_labels(model: FaceModel, faces: PreparedFaces, rows: NDArray[np.int64], heads: HeadRenders) -> Labels:
    """Fits to the landmarks of all pictures, and the albedo of the photographs `rows` and of the heads' sources."""
    network = MorphableModel(model)
    sources = np.union1d(rows, heads.person)
    margin = (CANVAS_PX - CROP_SIDE_PX) / 2
    points = np.concatenate([faces.landmarks[sources, :, :2], heads.landmarks[:, :, :2]]) - np.float32(margin)
    fits, residual = _fit(network, torch.from_numpy(points))
    _log.info("fitted the landmarks of %d pictures", len(points))
    albedo = _albedos(model, network, faces, sources, fits)
    of_row, of_head = (np.searchsorted(sources, r) for r in (rows, heads.person))
    chosen = torch.from_numpy(np.concatenate([of_row, len(sources) + np.arange(len(heads))]))
    identities, person = np.unique(faces.identities[rows], return_inverse=True)
    head_person = len(identities) + np.unique(heads.person, return_inverse=True)[1]
    fitted = torch.cat([fit.identity for fit in fits])[chosen]
    return Labels(
        fitted=fitted,
        residual=residual[chosen],
        true=torch.cat([fitted[: len(rows)], torch.from_numpy(np.array(heads.identity))]),
        albedo=albedo[torch.from_numpy(np.concatenate([of_row, of_head]))],
        person=torch.from_numpy(np.concatenate([person, head_person]).astype(np.int64)),
        head=torch.arange(len(chosen)) >= len(rows),
        validation=torch.from_numpy(np.concatenate([faces.validation[rows], heads.validation])),
    )


def _fit(network: MorphableModel, points: Tensor) -> tuple[list[Coefficients], Tensor]:
    """Landmark fits in parts of at most `_FIT_BATCH`, and their residuals (N,)."""
    settings = LandmarkFitting(pose_steps=100, steps=150)
    fits, residuals = [], []
    for part in points.float().split(_FIT_BATCH):
        fits.append(fit_landmarks(network, part, settings))
        drawn = crop_camera(len(part)).project(network.landmarks_cam(fits[-1]))[..., :2]
        side = (part.amax(1) - part.amin(1)).prod(1).sqrt()
        residuals.append((drawn - part).norm(dim=-1).mean(1) / side)
    return fits, torch.cat(residuals)


@torch.no_grad()
def _albedos(
    model: FaceModel,
    network: MorphableModel,
    faces: PreparedFaces,
    rows: NDArray[np.int64],
    fits: list[Coefficients],
) -> Tensor:
    """(M, Na) that explain the colours of the photographs `rows` under lights of their own."""
    coarser = MorphableModel(model, level=2)
    found = []
    for i, row in enumerate(rows):
        part, place = divmod(i, _FIT_BATCH)
        face = network(fits[part][place : place + 1])
        seen = observe_vertices(model, face, faces.crop(row), class_maps(faces.parsing(row)), crop_camera())
        found.append(decompose(coarser, seen.colors(coarser.vertex_index)).albedo)
        if i % 500 == 499:
            _log.info("albedo of %d of %d photographs", i + 1, len(rows))
    return torch.cat(found)


@torch.no_grad()
def _features(
    faces: PreparedFaces,
    rows: NDArray[np.int64],
    heads: HeadRenders,
    regressor: CoefficientRegressor,
    windows: int,
) -> dict[str, NDArray]:
    """Features (K, N, F) and landmarks in crop px (K, N, 468, 2)."""
    regressor = copy.deepcopy(regressor).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    features: list[NDArray] = []
    landmarks: list[NDArray] = []
    for window in range(windows):
        rng = np.random.default_rng(window) if window else None
        for places in torch.arange(len(rows) + len(heads)).split(_BATCH):
            part = [crop_window(*_picture(faces, rows, heads, int(place)), rng) for place in places]
            images = torch.from_numpy(np.stack([image for image, _ in part]))
            features.append(regressor.features(images.to(memory_format=torch.channels_last)).numpy())
            landmarks.extend(moved for _, moved in part)
        _log.info("features of window %d of %d", window + 1, windows)
    width = features[0].shape[1]
    moved_points = np.stack(landmarks).reshape(windows, -1, 468, 2)
    return {"features": np.concatenate(features).reshape(windows, -1, width), "landmarks": moved_points}


def crop_window(
    canvas: NDArray[np.uint8], points: NDArray[np.float32], rng: np.random.Generator | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A crop (3, 224, 224) sRGB of a canvas and its landmarks (468, 2); changed at random when there is a generator."""
    view = augmented_view(canvas, CROP_SIDE_PX, [_AUGMENTATION], rng)
    return view.image, warp_points(points[:, :2], view.matrix).astype(np.float32)


def _picture(
    faces: PreparedFaces, rows: NDArray[np.int64], heads: HeadRenders, index: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Canvas and landmarks of one of the photographs `rows` and, after them, of all heads."""
    source, place = (faces, rows[index]) if index < len(rows) else (heads, index - len(rows))
    return source.canvases[place], source.landmarks[place]


class ViewPictures(Dataset[list[Tensor]]):
    """The pictures themselves, changed anew each time, in place of their features: what trains a whole network.

    Args:
        faces: as given to `prepare_views`.
        heads: likewise.
        rows: (M,) which of the N pictures.
        data: (features, ..., landmarks, raw) of these, K windows after each other.
    """

    def __init__(
        self, faces: PreparedFaces, heads: HeadRenders, rows: Tensor, data: Dataset[tuple[Tensor, ...]]
    ) -> None:
        self.faces, self.heads, self.rows, self.data = faces, heads, rows, data
        self.photographs = np.nonzero(~faces.drawn)[0]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> list[Tensor]:
        picture = _picture(self.faces, self.photographs, self.heads, int(self.rows[index]))
        image, landmarks = crop_window(*picture, sample_rng())
        _, identity, albedo, _, raw = self.data[index]
        return [torch.from_numpy(image), identity, albedo, torch.from_numpy(landmarks), raw]
