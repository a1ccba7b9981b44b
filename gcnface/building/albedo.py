"""Learn the albedo basis of the face model from photographs: fit, unshade, complete by mirror, robust PCA, refit.

No open face model has an albedo; here it comes from the photographs of a prepared face folder (training people only).
Each round estimates every photo's light under the present mean, divides it out, fills what was not seen from the
mirrored side and from the present basis, and takes principal components of the result.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import linalg

from coarse.coefficients import Coefficients
from coarse.decomposition import DecompositionSettings, decompose
from coarse.face_model import FaceModel
from coarse.morphable import DARKEST_ALBEDO, MorphableModel, crop_camera
from gcnface.building.geometry import adjacency
from gcnface.data.faces import PreparedFaces
from gcnface.stages.observation import class_maps, observe_vertices

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AlbedoLearning:
    """Settings of `learn_albedo`."""

    components: int = 60
    rounds: int = 2
    imputations: int = 3
    """Times the missing colours are filled from the present basis within a round."""
    minimum_seen: int = 40
    """Faces that must show a vertex before its colour is learned rather than extended from its neighbours."""
    light: DecompositionSettings = DecompositionSettings(
        rounds=3, light_ridge=1e-2, white_ridge=1e-1, albedo_ridge=5e-4
    )


@dataclass
class _Samples:
    """Observed colours of all faces, float16 to fit in memory."""

    colors: np.ndarray
    weight: np.ndarray


def learn_albedo(
    model: FaceModel,
    faces: PreparedFaces,
    rows: NDArray[np.int64],
    fits: Coefficients,
    settings: AlbedoLearning = AlbedoLearning(),
) -> FaceModel:
    """A copy of `model` with an albedo mean and basis learned from `faces`.

    Args:
        model: the face model; its present albedo mean starts the estimate of the light.
        faces: prepared faces.
        rows: (N,) which of them.
        fits: fitted shape and pose of those rows.
        settings: number of components and rounds.
    """
    smooth = _surface_extension(model)
    learned = replace(model, albedo_basis=np.zeros((len(model.mean), 3, 0), np.float32))
    for round_index in range(settings.rounds):
        samples = _unshade_all(learned, faces, rows, fits, settings)
        mean, basis = _robust_pca(learned, samples, settings)
        seen = samples.weight.sum(0, dtype=np.float64) >= settings.minimum_seen
        _log.info("round %d: %d of %d vertices learned", round_index + 1, seen.sum(), len(seen))
        learned = replace(
            learned,
            albedo_mean=np.clip(smooth(mean, seen), DARKEST_ALBEDO, 1).astype(np.float32),
            albedo_basis=smooth(basis, seen).astype(np.float32),
        )
    return learned


def _unshade_all(
    model: FaceModel, faces: PreparedFaces, rows: NDArray[np.int64], fits: Coefficients, settings: AlbedoLearning
) -> _Samples:
    """Albedo of every vertex of every face as its photo shows it, mirrored where only the mirror was seen."""
    network = MorphableModel(model)
    count = len(rows)
    samples = _Samples(
        np.zeros((count, len(model.mean), 3), np.float16), np.zeros((count, len(model.mean)), np.float16)
    )
    mirror = torch.from_numpy(model.mirror.astype(np.int64))
    for index, row in enumerate(rows):
        fit = replace(fits[index : index + 1], albedo=torch.zeros(1, network.albedo_count))
        face = network(fit)
        crop, classes = faces.crop(row), faces.parsing(row)
        with torch.no_grad():
            seen = observe_vertices(model, face, crop, class_maps(classes), crop_camera())
            found = decompose(network, seen.colors(), settings.light)
            posed = replace(fit, albedo=found.albedo, lighting=found.lighting)
            albedo = (seen.linear / network(posed).shading.clamp(min=0.1))[0].clamp(0.005, 1.2)
        own = seen.confidence[0]
        take = own < 0.5 * own[mirror]
        filled = torch.where(take[:, None], albedo[mirror], albedo)
        samples.colors[index] = filled.numpy()
        samples.weight[index] = torch.where(take, 0.5 * own[mirror], own).numpy()
    return samples


def _robust_pca(model: FaceModel, samples: _Samples, settings: AlbedoLearning) -> tuple[np.ndarray, np.ndarray]:
    """Mean (V, 3) and basis (V, 3, n), scaled to unit Gaussian coefficients, of partly seen colours with outliers."""
    weight = torch.from_numpy(samples.weight).float()
    colors = torch.from_numpy(samples.colors).float()
    count, vertices = weight.shape
    total = weight.sum(0).clamp(min=1e-3)
    mean = torch.einsum("nv,nvc->vc", weight, colors) / total[:, None]
    tone = (weight[..., None] * (colors / mean.clamp(min=DARKEST_ALBEDO))).sum(1) / weight.sum(1).clamp(min=1)[:, None]
    estimate = mean * tone[:, None]
    basis = torch.zeros(vertices * 3, 0)
    keep = weight
    for _ in range(settings.imputations):
        residual = (colors - estimate).norm(dim=2)
        keep = weight / (1 + (residual / 0.15).square())
        filled = keep[..., None] * colors + (1 - keep[..., None]) * estimate
        mean = filled.mean(0)
        rows = (filled - mean).reshape(count, -1)
        gram = rows @ rows.T / count
        values, vectors = torch.linalg.eigh(gram.double())
        order = torch.arange(count - 1, count - 1 - settings.components, -1)
        left = vectors[:, order].float()
        spread = values[order].clamp(min=1e-12).sqrt().float()
        unit = rows.T @ left / (count**0.5 * spread)
        estimate = mean + (rows @ unit @ unit.T).reshape(count, vertices, 3)
        basis = unit * spread
    return mean.numpy(), basis.reshape(vertices, 3, -1).numpy()


Extension = Callable[[NDArray, NDArray[np.bool_]], NDArray]


def _surface_extension(model: FaceModel) -> Extension:
    """A function that replaces values of unseen vertices by the harmonic extension of the seen ones, piece by piece."""
    count = len(model.mean)
    links = adjacency(model.faces.astype(np.int64), count)
    laplacian = sparse.diags(np.asarray(links.sum(1)).ravel()) - links

    def extend(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
        flat = values.reshape(count, -1).astype(np.float64)
        pin = sparse.diags(np.where(seen, 1e3, 1e-6))
        fallback = np.median(flat[seen], axis=0)
        target = np.where(seen[:, None], flat, fallback)
        solve = linalg.factorized((laplacian + pin).tocsc())
        columns = [solve(pin @ target[:, k]) for k in range(target.shape[1])]
        return np.stack(columns, axis=1).reshape(values.shape)

    return extend
