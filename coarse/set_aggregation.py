"""One answer for all photographs of a person: pooled labels (Tran et al. 2017), aggregated answers (Deng et al. 2019).

Tran et al., "Regressing robust and discriminative 3D morphable models with a very deep neural network", CVPR 2017:
gamma^ = sum_i w_i gamma_i over a subject's photographs, w_i the normalised confidence of the landmarks. Deng et al.:
identity = sum_j c_j a_j / sum_j c_j, with a confidence c_j for every coefficient.
"""

from __future__ import annotations

import torch
from torch import Tensor

from render.shapes import check_shape


def aggregate(values: Tensor, confidences: Tensor) -> Tensor:
    """sum_j c_j a_j / sum_j c_j over the rows; their order does not matter.

    Args:
        values: (N, D), one row a photograph.
        confidences: (N, D), or (N, 1) for one confidence a photograph; not negative.

    Returns:
        (D,).

    Raises:
        ValueError: a confidence is negative or not finite, or no photograph has any for some coefficient.
    """
    size = check_shape("values", values, "N D")
    found = check_shape("confidences", confidences, "N C", N=size["N"])["C"]
    if found not in (1, size["D"]):
        raise ValueError(f"confidences has {found} columns; expected 1 or {size['D']}, one a coefficient")
    _check_confidences(confidences)
    total = confidences.sum(0)
    if not (total > 0).all():
        raise ValueError("no photograph has a confidence above 0; leave such a person out")
    return (confidences * values).sum(0) / total


def pool_labels(labels: Tensor, confidences: Tensor, person: Tensor) -> Tensor:
    """Give every photograph the pooled label of its person.

    Args:
        labels: (N, D) coefficients fitted to each photograph.
        confidences: (N,) not negative; normalised here over the photographs of a person.
        person: (N,) integers, equal for photographs of one person.

    Returns:
        (N, D), equal rows for photographs of one person.

    Raises:
        ValueError: a confidence is negative or not finite, or all confidences of a person are 0.
    """
    count = check_shape("labels", labels, "N D")["N"]
    check_shape("confidences", confidences, "N", N=count)
    check_shape("person", person, "N", N=count)
    _check_confidences(confidences)
    names, row = person.unique(return_inverse=True)
    total = confidences.new_zeros(len(names)).index_add(0, row, confidences)
    if not (total > 0).all():
        raise ValueError(f"person {int(names[total <= 0][0])} has no confidence above 0; leave such photographs out")
    weight = confidences / total[row]
    pooled = labels.new_zeros(len(names), labels.shape[1]).index_add(0, row, weight[:, None] * labels)
    return pooled[row]


def residual_confidence(residual: Tensor, least: float = 1e-3) -> Tensor:
    """Confidence of fitted labels from the landmarks' residual: inverse variance, 1 / residual^2.

    Args:
        residual: (N,) mean landmark distance of each fit, in any one unit.
        least: residuals below count as this, so that one perfect fit does not silence all others.
    """
    check_shape("residual", residual, "N")
    return 1 / residual.clamp(min=least).square()


def _check_confidences(confidences: Tensor) -> None:
    """Raise ValueError unless all are finite and not negative."""
    if not (torch.isfinite(confidences).all() and (confidences >= 0).all()):
        raise ValueError("confidences must be finite and not negative")
