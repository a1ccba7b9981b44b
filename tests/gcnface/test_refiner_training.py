"""One face is enough to see the refiner's losses work: finite, falling, and blind to what nobody saw."""

from dataclasses import replace

import pytest
import torch

from coarse.face_model import load_face_model
from coarse.morphable import crop_camera, layout_of
from coarse.regressor import load_regressor
from gcnface.alignment import align_face
from gcnface.coarse_stage import CoarseStage
from gcnface.detection import FaceDetector
from gcnface.observation import MINIMUM_SHADING, face_mask, observe_vertices
from gcnface.parsing import load_parser
from gcnface.training.observations import RefinerSample
from gcnface.training.refiner import RefinerModule, RefinerTraining
from refine.facenet import embed_crop224, load_facenet


@pytest.fixture(scope="module")
def stage():
    model = load_face_model()
    return CoarseStage(model, load_regressor(layout_of(model)), None)


@pytest.fixture(scope="module")
def batch(stage, portrait):
    image = align_face(portrait, FaceDetector().detect(portrait)[0]).image[None]
    classes = load_parser().parse(image)
    face = stage(image, classes)
    seen = observe_vertices(stage.model, face, image, classes, crop_camera())
    confidence = seen.confidence[..., None]
    left_half = (torch.from_numpy(stage.model.mean[:, :1]) < 20).float()
    return RefinerSample(
        raw=stage.morphable.layout.encode(face.coefficients),
        projected=seen.linear / face.shading.clamp(min=MINIMUM_SHADING),
        confidence=confidence,
        shown=confidence * left_half,
        embedding=embed_crop224(load_facenet(), image),
        image=image,
        mask=face_mask(classes),
    )


@pytest.fixture
def module(stage):
    torch.manual_seed(0)
    module = RefinerModule(RefinerTraining(drawn_every=1), stage)
    module.log = module.log_dict = lambda *args, **kwargs: None
    return module


def test_a_few_steps_lower_the_loss_with_every_term_in_it(module, batch):
    optimiser = torch.optim.Adam(module.network.parameters(), 2e-4)
    losses = []
    for step in range(15):
        loss = module.training_step(batch, step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert all(loss == loss for loss in losses)
    assert losses[-1] < 0.95 * losses[0], losses


def test_a_fresh_network_is_wrong_on_the_hidden_half_alone(module, batch, stage):
    face = stage.morphable(stage.morphable.layout.decode(batch.raw))
    albedo = module.network(face.albedo, batch.projected, batch.shown, batch.embedding)
    terms = module._vertex_terms(albedo, face, batch)
    assert terms["vertex"] < 0.02
    assert terms["hidden"] > 2 * terms["vertex"]


def test_colours_nobody_saw_do_not_count(module, batch):
    unseen = batch.confidence == 0
    spoiled = replace(batch, projected=torch.where(unseen, torch.full_like(batch.projected, 3.0), batch.projected))
    torch.testing.assert_close(module.training_step(spoiled, 0), module.training_step(batch, 0))


def test_pictures_show_the_photo_and_the_face_drawn_over_it(module, batch):
    with torch.no_grad():
        picture = module.pictures(batch)
    assert picture.shape == (1, 3, 224, 448)
    photo, drawn = picture[..., :224], picture[..., 224:]
    torch.testing.assert_close(photo, batch.image)
    changed = (drawn != photo).any(1)[0]
    assert changed[90:150, 90:130].float().mean() > 0.9
    assert not changed[:, :3].any()
    assert (drawn - photo).abs()[:, :, 110:140, 80:144].mean() < 0.15


def test_facenet_stays_out_of_the_checkpoint(module):
    checkpoint = {"state_dict": dict(module.state_dict()), "lr_schedulers": []}
    module.on_save_checkpoint(checkpoint)
    assert not any(name.startswith("facenet.") for name in checkpoint["state_dict"])
    module.on_load_checkpoint(checkpoint)
    assert set(checkpoint["state_dict"]) == set(module.state_dict())
