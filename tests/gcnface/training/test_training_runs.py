"""Trainings on a tiny made-up folder: steps are taken, runs resume, a batch can be learned by heart, files come out."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from coarse.face_model import load_face_model
from coarse.morphable import crop_camera, layout_of
from coarse.regressor import load_regressor
from gcnface.cli.train import train
from gcnface.data.faces import UNKNOWN, load_prepared
from gcnface.errors import GcnfaceError
from gcnface.io.images import read_photo
from gcnface.photo.parsing import PARSING_CLASSES, load_parser
from gcnface.training.configuration import plain
from gcnface.training.crops import CropBatch, CropDataset
from gcnface.training.disturbances import Disturbances
from gcnface.training.loading import SeededOrder
from gcnface.training.module import usual_precision
from gcnface.training.parser import (
    CanvasDataset,
    ParserDataSettings,
    gather,
    labeled_rows,
    parsing_loss,
    photo_weights,
)
from gcnface.training.regressor import RegressorModule, RegressorSettings
from tests.gcnface.annotated_folder import write_prepared_faces

pytestmark = pytest.mark.usefixtures("quiet_training")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_prepared_faces(tmp_path_factory.mktemp("faces"))


def run(data, output, *words):
    common = ["trainer.precision=32-true", "threads=1", f"trainer.default_root_dir={output}", f"data.faces={data}"]
    return [*common, "data.batch_size=4", *words]


def test_regressor_run_resumes_where_it_stopped(data, tmp_path):
    words = run(data, tmp_path / "run", "model.rendered=0")
    weights = train("regressor", [*words, "trainer.max_epochs=1"])
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["global_step"] == 1
    assert train("regressor", [*words, "trainer.max_epochs=3"]) == weights
    kept = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert kept["global_step"] == kept["lr_schedulers"][0]["total_steps"] == 3
    load_regressor(layout_of(load_face_model()), weights)
    resolved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert resolved["trainer"]["max_epochs"] == 3
    assert resolved["model"]["weights"]["landmarks"] == RegressorSettings().weights.landmarks


def test_regressor_learns_a_batch_by_heart(data):
    torch.manual_seed(0)
    faces = load_prepared(data)
    dataset = CropDataset(faces, faces.validation, augment=False)
    module = RegressorModule(rendered=0)
    posed = module.model.layout.decode(0.5 * torch.randn(2, module.model.layout.total))
    points = crop_camera(2).project(module.model.landmarks_cam(posed))[..., :2]
    batch = replace(CropBatch.stack([dataset[0], dataset[1]]), landmarks=points)
    optimizer = torch.optim.Adam(module.network.parameters(), 1e-3)
    losses = []
    for step in range(20):
        loss = module.training_step(batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert np.isfinite(losses).all()


@pytest.mark.parametrize(("name", "value"), [("rendered", -1), ("backbone", "huge")])
def test_regressor_settings_are_checked(name, value):
    with pytest.raises(ValueError, match=name):
        RegressorSettings(**{name: value})


@pytest.mark.parametrize(("part", "name"), [("regressor", "rendered"), ("stn", "paired")])
def test_no_more_crops_than_a_batch_has_can_be_asked_for(data, tmp_path, part, name):
    what = rf"^model\.{name} is 5; it must lie between 0 and data\.batch_size 4$"
    with pytest.raises(GcnfaceError, match=what):
        train(part, run(data, tmp_path, f"model.{name}=5"))


def test_settings_become_plain_values():
    settings = plain(ParserDataSettings())
    assert settings["faces"] == "runs/faces"
    assert yaml.safe_load(yaml.safe_dump(settings)) == settings


def test_parser_run_writes_weights_that_load_and_goes_on_for_longer(data, tmp_path):
    output = tmp_path / "run"
    words = run(data, output, "data.epoch_steps=1")
    parser = load_parser(train("parser", [*words, "trainer.max_epochs=1"]))
    assert parser.parse(torch.rand(1, 3, 224, 224)).shape == (1, len(PARSING_CLASSES), 224, 224)
    assert 0 <= json.loads((output / "metrics.json").read_text())["valid/mean_iou"] <= 1
    train("parser", [*words, "trainer.max_epochs=3", "pictures.every=3"])
    checkpoint = torch.load(output / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 3
    assert checkpoint["lr_schedulers"][0]["total_steps"] == 3
    assert sorted(path.name for path in (output / "pictures").iterdir()) == ["epoch_0001.png", "epoch_0003.png"]
    assert read_photo(output / "pictures" / "epoch_0003.png").shape == (2 * 224, 2 * 224, 3)


def test_parser_batches_hold_training_people_and_photos_more_often(data):
    faces = load_prepared(data)
    rows = labeled_rows(faces)
    assert not faces.validation[rows].any()
    order = SeededOrder(len(rows), 0, 4000, photo_weights(faces, rows, 3.0))
    drawn = faces.drawn[rows][[index for index, _ in order]]
    assert drawn.mean() == pytest.approx(2 / (2 + 3 * 3), abs=0.03)
    batch = gather(faces, rows[:2])
    assert batch.images.shape == (2, 3, 288, 288)
    assert batch.images.max() <= 1


def test_the_parser_is_told_what_covers_a_face(data):
    faces = load_prepared(data)
    rows = np.repeat(labeled_rows(faces), 20)
    before = CanvasDataset(faces, rows)
    seen = set()
    torch.manual_seed(0)
    for name in ("worn", "strokes", "cut"):
        after = CanvasDataset(faces, rows, Disturbances(**{name: 1.0}))
        for index in range(len(rows)):
            plain, spoilt = before[index], after[index]
            moved = (plain.canvases != spoilt.canvases).any(2)
            known = spoilt.labels[moved & (spoilt.labels != plain.labels)]
            assert moved.any()
            seen |= {(name, int(label)) for label in known.unique()}
    rest, glasses, hair = (PARSING_CLASSES.index(label) for label in ("rest", "glasses", "hair"))
    told = {("worn", rest), ("worn", glasses), ("strokes", rest), ("strokes", hair), ("cut", UNKNOWN)}
    assert seen == told


@pytest.mark.parametrize(("name", "value"), [("epoch_steps", 0), ("batch_size", 1)])
def test_parser_settings_are_checked(name, value):
    with pytest.raises(ValueError, match=name):
        ParserDataSettings(**{name: value})


def test_unknown_pixels_carry_no_gradient():
    labels = torch.randint(0, 10, (1, 8, 8), generator=torch.Generator().manual_seed(0))
    labels[:, :4] = UNKNOWN
    logits = torch.randn(1, 10, 8, 8, generator=torch.Generator().manual_seed(1)).requires_grad_()
    parsing_loss(logits, labels).backward()
    assert logits.grad[:, :, :4].abs().max() == 0
    assert logits.grad[:, :, 4:].abs().min() > 0


@pytest.mark.parametrize(
    ("kind", "cuda", "expected"),
    [("AVX2", False, "32-true"), ("AVX512", False, "bf16-mixed"), ("AVX2", True, "bf16-mixed")],
)
def test_bfloat16_is_usual_where_it_is_not_emulated(monkeypatch, kind, cuda, expected):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: kind)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    assert usual_precision() == expected
