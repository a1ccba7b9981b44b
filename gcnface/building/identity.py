"""From drawn people to an identity basis: rigid motion out, symmetric and antisymmetric principal components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SCALE_KEPT = 0.35


@dataclass(frozen=True)
class IdentityBasis:
    """Linear shape model on the cage.

    Attributes:
        mean: (Vc, 3) mm, exactly symmetric.
        basis: (Vc, 3, N) mm per standard deviation, each component symmetric or antisymmetric.
        mirror_sign: (N,) +1 symmetric, -1 antisymmetric: the sign a coefficient gets when the face is mirrored.
        variance: (N,) weighted variance of each component, descending.
        total_variance: weighted variance of all samples.
    """

    mean: np.ndarray
    basis: np.ndarray
    mirror_sign: np.ndarray
    variance: np.ndarray
    total_variance: float


def align_similarity(
    shapes: np.ndarray, reference: np.ndarray, weight: np.ndarray, scale_kept: float = SCALE_KEPT
) -> np.ndarray:
    """Move shapes (B, V, 3) onto `reference` (V, 3) by weighted similarity (Umeyama 1991).

    Args:
        shapes: (B, V, 3).
        reference: (V, 3).
        weight: (V,) non-negative.
        scale_kept: 0 removes all differences of size, 1 keeps them (rigid alignment only).
    """
    share = (weight / weight.sum()).astype(shapes.dtype)
    center = np.einsum("v,bvc->bc", share, shapes)
    goal = share @ reference.astype(shapes.dtype)
    moved, target = shapes - center[:, None], reference - goal
    covariance = np.einsum("v,vi,bvj->bij", share, target, moved)
    u, s, vt = np.linalg.svd(covariance)
    flip = np.ones_like(s)
    flip[:, 2] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * flip[:, None]) @ vt
    spread = np.einsum("v,bvc->b", share, moved**2)
    scale = ((s * flip).sum(1) / spread) ** (1.0 - scale_kept)
    return (np.einsum("bij,bvj->bvi", rotation, moved) * scale[:, None, None] + goal).astype(shapes.dtype)


def fit_identity(shapes: np.ndarray, mirror: np.ndarray, weight: np.ndarray, count: int) -> IdentityBasis:
    """Principal components of aligned shapes (B, V, 3), as if every mirrored face had been drawn too.

    Args:
        shapes: (B, V, 3) mm, aligned.
        mirror: (V,) mirror table.
        weight: (V,) importance of each vertex in the variance.
        count: components to keep.
    """
    flip = np.array([-1.0, 1.0, 1.0], dtype=shapes.dtype)
    average = shapes.mean(0)
    mean = 0.5 * (average + average[mirror] * flip)
    centered = shapes - mean
    mirrored = centered[:, mirror] * flip
    parts = [_components(0.5 * (centered + sign * mirrored), weight, count) for sign in (1, -1)]
    variance = np.concatenate([part[1] for part in parts])
    sign = np.repeat([1, -1], [len(part[1]) for part in parts])
    order = np.argsort(-variance)[:count]
    basis = np.concatenate([part[0] for part in parts])[order]
    total = float((centered.astype(np.float64) ** 2 * weight[:, None]).sum() / len(shapes))
    return IdentityBasis(mean, np.moveaxis(basis, 0, -1), sign[order], variance[order], total)


def _components(samples: np.ndarray, weight: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Components (count, V, 3) of unit-variance coefficients, and their weighted variances (count,)."""
    root = np.sqrt(weight)[:, None].astype(samples.dtype)
    flat = (samples * root).reshape(len(samples), -1)
    gram = (flat @ flat.T).astype(np.float64) / len(samples)
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
    scores = vectors * np.sqrt(len(samples))
    basis = scores.T @ samples.reshape(len(samples), -1) / len(samples)
    return basis.reshape(count, *samples.shape[1:]), values


def reconstruct(basis: IdentityBasis, shapes: np.ndarray, weight: np.ndarray, prior: float) -> np.ndarray:
    """Best fits (B, V, 3) of shapes by ridge regression with a unit Gaussian prior of strength `prior` (mm^2)."""
    root = np.sqrt(weight / weight.sum())[:, None, None]
    design = (basis.basis * root).reshape(-1, basis.basis.shape[-1])
    target = ((shapes - basis.mean) * root[None, ..., 0]).reshape(len(shapes), -1)
    normal = design.T @ design + prior * np.eye(design.shape[1])
    coefficients = np.linalg.solve(normal, design.T @ target.T)
    return basis.mean + np.moveaxis(basis.basis @ coefficients, -1, 0)
