"""One face is enough to see the refiner's losses work: finite, falling, and blind to what nobody saw."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from coarse.face_model import load_face_model
from coarse.morphable import crop_camera, layout_of
from coarse.regressor import load_regressor
from gcnface.errors import GcnfaceError
from gcnface.photo.crop import align_face
from gcnface.photo.detection import make_detector
from gcnface.photo.parsing import load_parser
from gcnface.stages.coarse import CoarseStage
from gcnface.stages.observation import class_maps, face_mask, observe_vertices
from gcnface.training.loading import SeededOrder
from gcnface.training.refiner import (
    CriticTraining,
    RefinerModule,
    RefinerTraining,
    _chosen_views,
    _started,
    train_refiner,
)
from gcnface.training.refiner_data import RefinerSample
from gcnface.training.refiner_objective import KINDS, Objective, encoded, total
from gcnface.training.runs import RunSettings
from refine.discriminator import DiscriminatorConfig
from refine.facenet import embed_crop224, load_facenet
from refine.losses import LossSchedule
from refine.network import TextureRefiner, TextureRefinerConfig
from refine.stored import load_refiner, save_refiner
from render import available_backends, use_backend
from render.lighting import MINIMUM_SHADING
from tests.gcnface.annotated_folder import write_prepared_faces

pytestmark = pytest.mark.usefixtures("quiet_training")

SMALL_CRITIC = CriticTraining(network=DiscriminatorConfig(side=32), steps=2)


@pytest.fixture(scope="module")
def stage():
    model = load_face_model()
    return CoarseStage(model, load_regressor(layout_of(model)), None)


@pytest.fixture(scope="module")
def batch(stage, portrait):
    image = align_face(portrait, make_detector().detect(portrait)[0]).image[None]
    classes = load_parser().parse(image)
    with torch.no_grad():
        face = stage(image, classes)
        seen = observe_vertices(stage.model, face, image, class_maps(classes), crop_camera())
    confidence = seen.confidence[..., None]
    left_half = (torch.from_numpy(stage.model.mean[:, :1]) < 20).float()
    shading = face.shading.clamp(min=MINIMUM_SHADING)
    projected = seen.linear / shading
    return RefinerSample(
        raw=stage.morphable.layout.encode(face.coefficients),
        shading=shading,
        projected=projected,
        shown=confidence * left_half,
        target=projected,
        known=confidence,
        embedding=embed_crop224(load_facenet(), image).detach(),
        image=image,
        mask=face_mask(classes),
    )


def make_module(stage, **settings):
    torch.manual_seed(0)
    settings = RefinerTraining(critic=SMALL_CRITIC, drawn_every=1, **settings)
    module = RefinerModule(settings)
    module.log = module.log_dict = lambda *args, **kwargs: None
    module.manual_backward = lambda loss: loss.backward()
    return module


@pytest.fixture(scope="module")
def module(stage):
    return make_module(stage)


def answer(module, batch):
    face = module._face(batch)
    return face, module.network(face.albedo, batch.projected, batch.shown, batch.embedding)


def test_a_few_steps_lower_the_loss_with_every_term_in_it(stage, batch):
    module = make_module(stage)
    module.optimizers = lambda: optimizers
    module._length = lambda: 10**6
    optimizers = module.configure_optimizers()
    module._rate = lambda progress: 0.1
    losses = []
    for step in range(10):
        module.training_step(batch, step)
        with torch.no_grad():
            face, albedo = answer(module, batch)
            terms = module.terms(albedo, face, batch, 1.0)
        assert set(terms) == {"vertex", "hidden", "coarse", "pixel", "identity", "adversarial"}
        losses.append(float(total({k: v for k, v in terms.items() if k != "adversarial"})))
    assert all(loss == loss for loss in losses)
    assert losses[-1] < 0.95 * losses[0], losses
    assert int(module.step) == 10
    pairs = zip(module.averaged.parameters(), module.network.parameters(), strict=True)
    assert any(not torch.equal(mean, last) for mean, last in pairs)


@pytest.mark.skipif("pytorch3d" not in available_backends(), reason="pytorch3d is not installed")
def test_pytorch3d_gives_the_same_losses_and_gradients(module, batch):
    """Half a minute on a CPU; measured: losses to 1e-6, gradients to 1e-4 of their length."""
    losses, gradients = [], []
    for backend in ("torch", "pytorch3d"):
        with use_backend(backend):
            face, albedo = answer(module, batch)
            terms = module.terms(albedo, face, batch, 1.0)
            assert "pixel" in terms
            found = torch.autograd.grad(total(terms), list(module.network.parameters()))
        losses.append(torch.stack(list(terms.values())).detach())
        gradients.append(torch.cat([each.flatten() for each in found]))
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-4, atol=1e-6)
    assert (gradients[1] - gradients[0]).norm() < 1e-3 * gradients[0].norm()


def test_the_critic_learns_to_prefer_the_photo(module, batch):
    module = make_module(module_stage(module))
    optimizer = module.configure_optimizers()[1]
    photo = module._reduced(batch.image)
    fake = (photo * 0.5).contiguous()
    with torch.no_grad():
        before = float(module.critic(photo) - module.critic(fake))
    for _ in range(10):
        module._teach_critic(optimizer, photo, fake)
    with torch.no_grad():
        assert float(module.critic(photo) - module.critic(fake)) > before


def module_stage(module):
    """What `make_module` needs of a stage."""

    class Stage:
        morphable = module.morphable
        model = load_face_model()

    return Stage


def test_a_fresh_network_is_wrong_on_the_hidden_half_alone(module, batch):
    face, albedo = answer(module, batch)
    objective = module.settings.objective
    terms = objective.vertex_terms(albedo, face, batch, module.network.mirror, objective.schedule.at(1))
    assert terms["vertex"] < 0.02
    assert terms["hidden"] > 2 * terms["vertex"]


def test_colours_nobody_saw_do_not_count(module, batch):
    unseen = batch.known == 0
    wild = torch.full_like(batch.projected, 3.0)
    spoiled = replace(
        batch,
        projected=torch.where(unseen, wild, batch.projected),
        target=torch.where(unseen, wild, batch.target),
    )
    found = []
    for one in (batch, spoiled):
        with torch.no_grad():
            face, albedo = answer(module, one)
            found.append(float(total(module.terms(albedo, face, one, 1.0))))
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_the_papers_total_goes_from_vertices_to_pictures(stage, batch):
    objective = Objective(kind="paper", schedule=LossSchedule(ramp_start=0.0, ramp_end=1.0))
    module = make_module(stage, objective=objective)
    with torch.no_grad():
        face, albedo = answer(module, batch)
        start, end = (module.terms(albedo, face, batch, progress) for progress in (0.0, 1.0))
    assert min(start["vertex"], end["pixel"], end["identity"]) > 0
    assert start["pixel"] == start["identity"] == end["vertex"] == end["coarse"] == 0
    apart = (encoded(albedo) - encoded(face.albedo)).norm(dim=2).mean()
    torch.testing.assert_close(start["coarse"], apart)


def test_the_released_total_has_no_pixels_and_keeps_a_fifth_of_the_coarse_term(stage, batch):
    schedule = LossSchedule(ramp_start=0.0, ramp_end=0.1, vertex_floor=0.2)
    objective = Objective(kind="released", schedule=schedule, adversarial=0.0)
    module = make_module(stage, objective=objective)
    assert module.critic is None
    with torch.no_grad():
        face, albedo = answer(module, batch)
        end = module.terms(albedo, face, batch, 1.0)
    assert set(end) == {"coarse", "vertex", "unseen", "symmetry", "variance", "identity"}
    apart = (encoded(albedo) - encoded(face.albedo)).abs().sum(2).mean()
    torch.testing.assert_close(end["coarse"], 0.2 * apart)


@pytest.mark.parametrize("kind", KINDS)
def test_a_term_of_factor_nought_is_left_out(kind):
    assert not Objective(kind=kind, vertex=0.0).vertex_terms(*[None] * 5)
    nothing = LossSchedule(identity=0.0)
    assert not Objective(kind=kind, schedule=nothing, pixel=0.0, adversarial=0.0).drawn
    assert Objective(kind=kind, schedule=nothing, pixel=0.0).drawn


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Objective(kind="mine"), "kind"),
        (lambda: Objective(pixel=-1.0), "0 or more"),
        (lambda: RefinerTraining(drawn_every=0), "drawn_every"),
        (lambda: RefinerTraining(rate="flat"), "rate"),
        (lambda: RefinerTraining(average=1.0), "average"),
        (lambda: CriticTraining(steps=0), "critic"),
    ],
)
def test_settings_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()


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


def test_an_epochs_order_follows_from_seed_and_number_alone():
    order = SeededOrder(10, seed=3, limit=6)
    first = list(order)
    order.set_epoch(1)
    assert list(order) != first
    again = SeededOrder(10, seed=3, limit=6)
    again.set_epoch(0)
    assert list(again) == first
    assert len(first) == len(order) == len({index for index, _ in first}) == 6


def test_so_many_photographic_views_of_each_face_are_taken():
    people = np.array([3, 3, 3, 5, 5, 9])
    heads = SimpleNamespace(photographic=np.array([0, 1, 1, 1, 1, 1], bool), person=people)
    rows = np.array([3, 5])
    assert _chosen_views(heads, rows, 0).tolist() == [1, 2, 3, 4]
    assert _chosen_views(heads, rows, 1).tolist() == [1, 3]


def test_training_goes_on_from_weights_of_its_own_configuration_only(tmp_path):
    model, small = load_face_model(), replace(TextureRefinerConfig(), detail_limit=0.05)
    before = TextureRefiner.from_face_model(model, small)
    before.completion.head.bias.data[:] = 0.25
    path = tmp_path / "before.safetensors"
    save_refiner(before, path)
    again = RefinerModule(RefinerTraining(network=small))
    again.begin_with(_started(path, small, model))
    assert again.network.training
    for network in (again.network, again.averaged):
        torch.testing.assert_close(network.completion.head.bias, before.completion.head.bias)
    with pytest.raises(GcnfaceError, match="another configuration"):
        _started(path, TextureRefinerConfig(), model)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_prepared_faces(tmp_path_factory.mktemp("faces"))


def run(data, output, epochs):
    settings = RunSettings(output, epochs, "32-true", threads=1, accelerator="cpu", tensorboard=False, pictures_every=0)
    tiny = TextureRefinerConfig(
        completion=replace(TextureRefinerConfig().completion, channels=(4, 4, 4, 4, 4), order=2)
    )
    return RefinerTraining(
        data=data,
        run=settings,
        observations=data.parent / "observations",
        network=tiny,
        critic=SMALL_CRITIC,
        objective=Objective(schedule=LossSchedule(ramp_end=1e-6, vertex_floor=1.0)),
        rate="decay",
        drawn_every=2,
    )


def test_a_resumed_run_ends_with_the_bits_of_one_without_a_break(data, tmp_path):
    whole = train_refiner(run(data, tmp_path / "whole", 2))
    train_refiner(run(data, tmp_path / "broken", 1))
    resumed = train_refiner(run(data, tmp_path / "broken", 2))
    states = [torch.load(p.parent / "last.ckpt", weights_only=False)["state_dict"] for p in (whole, resumed)]
    assert states[0]["step"] == states[1]["step"] == 4
    assert states[0].keys() == states[1].keys()
    assert any(name.startswith("critic.") for name in states[0])
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
    assert whole.read_bytes() == resumed.read_bytes()
    network = load_refiner(load_face_model(), whole)
    assert network.config.completion.channels == (4, 4, 4, 4, 4)
