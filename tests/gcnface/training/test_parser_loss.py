"""The parser's loss against its definition, and label maps that take the place of the folder's own."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from gcnface.data.faces import UNKNOWN, load_prepared
from gcnface.errors import GcnfaceError
from gcnface.photo.parsing import FaceParser
from gcnface.training.parser import (
    CLASS_WEIGHTS,
    ParserDataSettings,
    labeled_rows,
    parsing_loss,
    training_samples,
)
from tests.gcnface.annotated_folder import write_prepared_faces


def test_cross_entropy_and_dice_as_defined():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 7, (2, 12, 12), generator=generator)
    labels[0, 0] = UNKNOWN
    logits = torch.randn(2, 10, 12, 12, generator=generator)
    known = labels != UNKNOWN
    entropy = functional.cross_entropy(logits, labels, torch.tensor(CLASS_WEIGHTS), ignore_index=UNKNOWN)
    overlaps = []
    for index in range(7):
        share, truth = logits.softmax(1)[:, index][known], (labels[known] == index).float()
        overlaps.append(2 * (share * truth).sum() / (share.sum() + truth.sum()))
    torch.testing.assert_close(parsing_loss(logits, labels), entropy + 1 - torch.stack(overlaps).mean())


def test_one_batch_is_learned_by_heart():
    torch.manual_seed(0)
    images = torch.rand(2, 3, 64, 64)
    labels = (images[:, 0] > 0.5).long() + 2 * (torch.arange(64) > 31).long()
    parser = FaceParser()
    optimizer = torch.optim.AdamW(parser.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        loss = parsing_loss(parser(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.35 * losses[0]


def test_other_labels_are_learned_instead(tmp_path):
    data, path = write_prepared_faces(tmp_path), tmp_path / "labels.npy"
    own = load_prepared(data)
    other = np.full(own.labels.shape, UNKNOWN, np.uint8)
    other[::2] = 3
    np.save(path, other)
    config = ParserDataSettings(faces=data, labels=path)
    samples = training_samples(config)
    assert (samples.labels[0] == 3).all()
    assert set(labeled_rows(samples).tolist()) <= set(range(0, len(own), 2))


def test_labels_of_other_faces_are_refused(tmp_path):
    np.save(tmp_path / "labels.npy", np.zeros((2, 288, 288), np.uint8))
    config = ParserDataSettings(faces=write_prepared_faces(tmp_path), labels=tmp_path / "labels.npy")
    with pytest.raises(GcnfaceError, match=r"labels\.npy: shape \(2, 288, 288\), expected \(7, 288, 288\)"):
        training_samples(config)


def test_the_parser_does_not_learn_from_itself(tmp_path):
    with pytest.raises(GcnfaceError, match="drawn by the shipped parser"):
        training_samples(ParserDataSettings(faces=write_prepared_faces(tmp_path, "shipped")))
