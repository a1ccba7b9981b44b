"""One face is enough to see the refiner's losses work: finite, falling, and blind to what nobody saw."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from coarse.face_model import load_face_model
from coarse.morphable import crop_camera, layout_of
from coarse.regressor import load_regressor
from gcnface.errors import GcnfaceError
from gcnface.photo.crop import align_face
from gcnface.photo.detection import make_detector
from gcnface.photo.parsing import load_parser
from gcnface.stages.coarse import CoarseStage
from gcnface.stages.observation import class_maps, face_mask, observe_vertices
from gcnface.training.callbacks import WarmAverage
from gcnface.training.loading import SeededOrder
from gcnface.training.refiner import CriticTraining, RefinerModule, RefinerSettings
from gcnface.training.refiner_data import Hiding, RefinerData, RefinerDataSettings, RefinerSample, chosen_views
from gcnface.training.refiner_objective import KINDS, Objective, encoded
from refine.discriminator import DiscriminatorConfig
from refine.facenet import embed_crop224, load_facenet
from refine.losses import LossSchedule
from refine.network import TextureRefiner, TextureRefinerConfig
from refine.stored import load_refiner, save_refiner
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
        skin_tone=face.coefficients.skin_tone,
        shading=shading,
        projected=projected,
        shown=confidence * left_half,
        target=projected,
        known=confidence,
        embedding=embed_crop224(load_facenet(), image).detach(),
        image=image,
        mask=face_mask(classes),
    )


def make_module(**settings):
    torch.manual_seed(0)
    module = RefinerModule(**{"critic": SMALL_CRITIC, "drawn_every": 1, **settings})
    module.log = module.log_dict = lambda *args, **kwargs: None
    module.manual_backward = lambda loss: loss.backward()
    return module


def total(terms):
    return sum(terms.values())


@pytest.fixture(scope="module")
def module():
    return make_module()


def answer(module, batch):
    return module.refined(batch)


@pytest.mark.slow
def test_a_few_steps_lower_the_loss_with_every_term_in_it(batch):
    module = make_module(rate="decay", learning_rate=2e-4)
    optimizers = [part["optimizer"] for part in module.configure_optimizers()]
    module.optimizers = lambda: optimizers
    module.planned_steps = lambda: 10**6
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


def test_the_average_forgets_the_untrained_network_at_once():
    """After the first steps it lies where the last weights are, whatever came before; then it hardly moves."""
    model = torch.nn.Linear(1, 1, bias=False)
    average = WarmAverage(0.9)
    average.setup(None, model, "validate")
    averaged = torch.optim.swa_utils.AveragedModel(model, **average._kwargs)
    found = []
    for value in [5.0] + [1.0] * 3 + [2.0] * 60:
        model.weight.data.fill_(value)
        averaged.update_parameters(model)
        found.append(averaged.module.weight.item())
    assert found[0] == 5
    assert found[1] == pytest.approx(1 + 4 * 2 / 11)
    assert found[3] < 1.1
    assert 1.9 < found[-1] < 2


def test_the_critic_learns_to_prefer_the_photo(batch):
    module = make_module(rate="decay")
    optimizer = module.configure_optimizers()[1]["optimizer"]
    photo = module._reduced(batch.image)
    fake = (photo * 0.5).contiguous()
    with torch.no_grad():
        before = float(module.critic(photo) - module.critic(fake))
    for _ in range(10):
        module._teach_critic(optimizer, photo, fake)
    with torch.no_grad():
        assert float(module.critic(photo) - module.critic(fake)) > before


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


def test_the_papers_total_goes_from_vertices_to_pictures(batch):
    objective = Objective(kind="paper", schedule=LossSchedule(ramp_start=0.0, ramp_end=1.0))
    module = make_module(objective=objective)
    with torch.no_grad():
        face, albedo = answer(module, batch)
        start, end = (module.terms(albedo, face, batch, progress) for progress in (0.0, 1.0))
    assert min(start["vertex"], end["pixel"], end["identity"]) > 0
    assert start["pixel"] == start["identity"] == end["vertex"] == end["coarse"] == 0
    apart = (encoded(albedo) - encoded(face.albedo)).norm(dim=2).mean()
    torch.testing.assert_close(start["coarse"], apart)


def test_the_released_total_has_no_pixels_and_keeps_a_fifth_of_the_coarse_term(batch):
    schedule = LossSchedule(ramp_start=0.0, ramp_end=0.1, vertex_floor=0.2)
    objective = Objective(kind="released", schedule=schedule, adversarial=0.0)
    module = make_module(objective=objective)
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
        (lambda: RefinerSettings(drawn_every=0), "drawn_every"),
        (lambda: RefinerSettings(rate="flat"), "rate"),
        (lambda: RefinerSettings(average=1.0), "average"),
        (lambda: RefinerSettings(gradient_clip_val=-1.0), "gradient_clip_val"),
        (lambda: CriticTraining(steps=0), "critic"),
        (lambda: RefinerDataSettings(faces_an_epoch=-1), "faces_an_epoch"),
        (lambda: Hiding(ball_radius=(9.0, 8.0)), "ball_radius"),
        (lambda: Hiding(side_blur=0.0), "side_blur"),
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


def test_fixed_networks_stay_out_of_checkpoints_and_averages(module):
    names = {name.partition(".")[0] for name in module.state_dict()}
    assert names == {"network", "critic"}
    assert copy.deepcopy(module).facenet is module.facenet


def test_hiding_is_what_it_was(stage):
    """A sum of what the first version hid, whose numbers stood in the code."""
    points = torch.from_numpy(stage.model.mean)
    spots = torch.nonzero(torch.from_numpy(stage.model.region.astype(np.int64)) <= 1)[:, 0]
    for seed in range(6):
        random = torch.Generator().manual_seed(seed)
        expected = first_version(points, spots, torch.Generator().manual_seed(seed))
        assert torch.equal(Hiding().keep(points, spots, random), expected)
    nothing = Hiding(side=0.0, balls=0).keep(points, spots, torch.Generator().manual_seed(0))
    assert (nothing == 1).all()


def first_version(points, spots, random):
    keep = torch.ones(len(points))
    if torch.rand((), generator=random) < 0.6:
        direction = torch.randn(3, generator=random) * torch.tensor([1.0, 0.3, 0.2])
        distance = points @ (direction / direction.norm())
        edge = torch.rand((), generator=random) * 70 - 15
        keep = keep * ((edge - distance) / 6 + 0.5).clamp(0, 1)
    for _ in range(int(torch.randint(0, 4, (), generator=random))):
        center = points[spots[torch.randint(len(spots), (), generator=random)]]
        radius = 8 + 30 * torch.rand((), generator=random)
        keep = keep * (((points - center).norm(dim=1) - radius) / 4 + 0.5).clamp(0, 1)
    return keep[:, None]


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
    assert chosen_views(heads, rows, 0).tolist() == [1, 2, 3, 4]
    assert chosen_views(heads, rows, 1).tolist() == [1, 3]


def test_training_goes_on_from_weights_of_its_own_configuration_only(tmp_path):
    model, small = load_face_model(), replace(TextureRefinerConfig(), detail_limit=0.05)
    before = TextureRefiner.from_face_model(model, small)
    before.completion.head.bias.data[:] = 0.25
    path = tmp_path / "before.safetensors"
    save_refiner(before, path)
    again = RefinerModule(network=small, start=path)
    again.setup("fit")
    assert again.network.training
    torch.testing.assert_close(again.network.completion.head.bias, before.completion.head.bias)
    with pytest.raises(GcnfaceError, match="another configuration"):
        RefinerModule(start=path).setup("fit")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_prepared_faces(tmp_path_factory.mktemp("faces"))


TINY = TextureRefinerConfig(completion=replace(TextureRefinerConfig().completion, channels=(4, 4, 4, 4, 4), order=2))


def fit(data, output, epochs, **settings):
    """Lightning's own way, without the command."""
    lightning.seed_everything(0, verbose=False)
    objective = Objective(schedule=LossSchedule(ramp_end=1e-6, vertex_floor=1.0))
    known = {"network": TINY, "critic": SMALL_CRITIC, "objective": objective, "rate": "decay", "drawn_every": 2}
    module = RefinerModule(**known | settings)
    faces = RefinerData(faces=data, observations=data.parent / "observations")
    last = ModelCheckpoint(output, "last", enable_version_counter=False)
    trainer = lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, callbacks=[last], num_sanity_val_steps=0,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    before = output / "last.ckpt"
    trainer.fit(module, datamodule=faces, ckpt_path=before if before.exists() else None)
    return module.export(output), module


@pytest.mark.slow
def test_a_resumed_run_ends_with_the_bits_of_one_without_a_break(data, tmp_path):
    whole, _ = fit(data, tmp_path / "whole", 2)
    fit(data, tmp_path / "broken", 1)
    resumed, _ = fit(data, tmp_path / "broken", 2)
    kept = [torch.load(p.parent / "last.ckpt", weights_only=True) for p in (whole, resumed)]
    assert kept[0]["global_step"] == kept[1]["global_step"] == 4
    for part in ("state_dict", "current_model_state"):
        assert kept[0][part].keys() == kept[1][part].keys()
        assert any(name.startswith("critic.") for name in kept[0][part])
        for name, value in kept[0][part].items():
            assert torch.equal(value, kept[1][part][name]), name
    assert whole.read_bytes() == resumed.read_bytes()
    network = load_refiner(load_face_model(), whole)
    assert network.config.completion.channels == (4, 4, 4, 4, 4)
    before = whole.read_bytes()
    whole.unlink()
    assert fit(data, tmp_path / "whole", 2)[0].read_bytes() == before, "a run that is over writes its average again"


@pytest.mark.slow
def test_the_average_is_what_is_saved_and_the_rate_is_the_schedulers(data, tmp_path):
    weights, module = fit(data, tmp_path / "cycle", 2, rate="cycle", average=0.5)
    kept = torch.load(weights.parent / "last.ckpt", weights_only=True)
    name = "network.completion.head.bias"
    assert not torch.equal(kept["state_dict"][name], kept["current_model_state"][name])
    assert torch.equal(module.state_dict()[name], kept["state_dict"][name])
    schedule, rate = kept["lr_schedulers"][0], kept["optimizer_states"][0]["param_groups"][0]
    assert (schedule["total_steps"], schedule["last_epoch"]) == (4, 4)
    assert rate["lr"] == schedule["_last_lr"][0]
    assert rate["betas"] == (0.9, 0.999)
    _, last = fit(data, tmp_path / "last", 1, average=0.0)
    kept = torch.load(tmp_path / "last" / "last.ckpt", weights_only=True)
    assert "current_model_state" not in kept
    assert torch.equal(last.state_dict()[name], kept["state_dict"][name])
