"""Intersection over union of label maps."""

import torch
from torch import Tensor

from gcnface.photo.parsing import PARSING_CLASSES


def confusion_matrix(predicted: Tensor, truth: Tensor) -> Tensor:
    """(10, 10) int64 counts, rows the truth, columns the prediction; truths beyond the classes are left out."""
    classes = len(PARSING_CLASSES)
    known = truth < classes
    pairs = truth[known].long() * classes + predicted[known].long()
    return torch.bincount(pairs, minlength=classes**2).view(classes, classes)


def intersection_over_union(confusion: Tensor) -> Tensor:
    """(10,) IoU of each class from a confusion matrix; NaN for a class that is neither present nor predicted."""
    counts = confusion.double()
    common = counts.diagonal()
    return common / (counts.sum(0) + counts.sum(1) - common)
