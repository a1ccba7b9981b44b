"""Training of identity and confidence on a tiny made-up data set: labels, sets of views, learning by heart, files."""

from pathlib import Path

import pytest
import torch

from coarse.confidence import load_confidence
from coarse.face_model import load_face_model
from coarse.morphable import MorphableModel
from coarse.regressor import load_regressor
from gcnface.cli.train import train
from gcnface.data.faces import CANVAS_MARGIN_PX, load_prepared
from gcnface.data.heads import load_heads
from gcnface.training.confidence import ConfidenceDataSettings, ConfidenceModule, ViewSets
from gcnface.training.identity import IdentityDataSettings, IdentityModule, IdentitySettings, apply_heads
from gcnface.training.person_views import Labels, PersonViews, ViewPictures
from tests.gcnface.annotated_folder import write_prepared_faces
from tests.gcnface.head_folder import write_heads

pytestmark = pytest.mark.usefixtures("quiet_training")


@pytest.fixture(scope="module")
def model():
    return MorphableModel(load_face_model(), level=3)


@pytest.fixture(scope="module")
def regressor(model):
    return load_regressor(model.layout).requires_grad_(False)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_prepared_faces(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    return write_heads(tmp_path_factory.mktemp("heads"))


@pytest.fixture(scope="module")
def views(model):
    """Three persons of 5, 3 and 2 views, made up; the second is held out."""
    generator = torch.Generator().manual_seed(0)
    person = torch.tensor([0] * 5 + [1] * 3 + [2] * 2)
    true = torch.randn(3, model.layout.identity, generator=generator)[person]
    labels = Labels(
        fitted=true + torch.randn(true.shape, generator=generator),
        residual=0.01 + torch.rand(10, generator=generator),
        true=true,
        albedo=torch.randn(3, model.layout.albedo, generator=generator)[person],
        person=person,
        head=torch.ones(10, dtype=torch.bool),
        validation=person == 1,
    )
    features = torch.rand(1, 10, 384, generator=generator)
    return PersonViews(labels, features, 112 + 50 * torch.randn(1, 10, 468, 2, generator=generator))


def test_labels_are_true_pooled_or_single(views):
    labels = views.labels
    assert torch.equal(labels.identity(truth=True, pooled=True), labels.true)
    assert torch.equal(labels.identity(truth=False, pooled=False), labels.fitted)
    pooled = labels.identity(truth=False, pooled=True)
    assert torch.equal(pooled[0], pooled[4])
    assert not torch.equal(pooled[0], pooled[5])
    assert (pooled[8:] - labels.true[8:]).square().mean() < (labels.fitted[8:] - labels.true[8:]).square().mean()


def test_sets_hold_one_person_and_vary(views, regressor):
    learn, check = (ViewSets(views, regressor, ConfidenceDataSettings(), validation=part) for part in (False, True))
    assert (len(learn), len(check)) == (2, 1)
    counts = {int(learn[0][3].sum()) for _ in range(40)}
    assert counts == {2, 3, 4, 5}
    features, identity, albedo, present, truth, _ = check[0]
    assert features.shape == (5, 384)
    assert present.tolist() == [1, 1, 1, 0, 0]
    assert torch.equal(truth, views.labels.true[5])
    expected = regressor.layout.decode(apply_heads(regressor, views.features[0, 5:8]))
    torch.testing.assert_close(identity[:3], expected.identity)
    torch.testing.assert_close(albedo[:3], expected.albedo)


def test_confidence_learns_a_set_by_heart(model):
    """One view of each set is right; its features say so."""
    torch.manual_seed(0)
    truth = torch.randn(16, model.layout.identity)
    identity = truth[:, None] + 0.7 * torch.randn(16, 5, model.layout.identity)
    features = torch.rand(16, 5, 384)
    identity[:, 2], features[:, 2, :40] = truth, 2.0
    albedo = torch.zeros(16, 5, model.layout.albedo)
    batch = [features, identity, albedo, torch.ones(16, 5), truth, albedo[:, 0]]
    module = ConfidenceModule()
    optimizer = torch.optim.Adam(module.network.parameters(), 3e-3)
    losses = []
    for step in range(40):
        loss = module.training_step(batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize("loss", ["asymmetric", "euclidean"])
def test_identity_learns_a_batch_by_heart(views, model, loss):
    torch.manual_seed(0)
    module = IdentityModule(loss=loss, landmarks=0.0, keep=0.0)
    module.log = module.log_dict = lambda *args, **kwargs: None
    network = module.network
    network.load_state_dict(load_regressor(model.layout).state_dict())
    features, labels = views.features[0], views.labels
    batch = [features, labels.true, labels.albedo, views.landmarks[0], apply_heads(network, features).detach()]
    frozen = network.blocks[0].body[0][0].weight.clone()
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 3e-2)
    losses = []
    for step in range(60):
        value = module.training_step(batch, step)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert losses[-1] < 0.2 * losses[0]
    assert torch.equal(network.blocks[0].body[0][0].weight, frozen)


@pytest.mark.slow
def test_runs_write_weights_that_load_beside_each_other(data, heads, tmp_path, model, regressor):
    views = tmp_path / "views"
    common = ["trainer.max_epochs=2", "threads=1", "data.batch_size=4"]
    common += [f"data.{name}={path}" for name, path in {"faces": data, "heads": heads, "views": views}.items()]
    weights = train("identity", [f"trainer.default_root_dir={tmp_path / 'identity'}", *common])
    trained = load_regressor(model.layout, weights)
    torch.testing.assert_close(trained.stem[0][0].weight, regressor.stem[0][0].weight)
    assert not torch.equal(trained.heads["identity"].weight, regressor.heads["identity"].weight)
    stored = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "views").iterdir()}
    assert len(stored) == 2
    words = [f"trainer.default_root_dir={tmp_path / 'confidence'}", f"model.regressor={weights}", *common]
    found = train("confidence", words)
    load_confidence(trained, found)
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "views").iterdir()} == stored


def test_the_whole_network_trains_on_pictures(data, heads, model, views):
    faces, rendered = load_prepared(data), load_heads(heads)
    photographs = int((~faces.drawn).sum())
    rows = torch.tensor([0, photographs, photographs + 1])
    count = len(rows)
    data_of_rows = torch.utils.data.TensorDataset(
        views.features[0, :count],
        views.labels.true[:count],
        views.labels.albedo[:count],
        views.landmarks[0, :count],
        torch.zeros(count, model.layout.total),
    )
    pictures = ViewPictures(faces, rendered, rows, data_of_rows)
    image, identity, _, landmarks, _ = pictures[1]
    assert image.shape == (3, 224, 224)
    assert torch.equal(identity, views.labels.true[1])
    assert (landmarks - (rendered.landmarks[0, :, :2] - CANVAS_MARGIN_PX)).abs().mean() < 20
    module = IdentityModule(whole=True)
    module.log = module.log_dict = lambda *args, **kwargs: None
    module.network.load_state_dict(load_regressor(model.layout).state_dict())
    batch = [torch.stack(parts) for parts in zip(*(pictures[i] for i in range(3)), strict=True)]
    module.training_step(batch, 0).backward()
    assert module.network.stem[0][0].weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [(IdentitySettings, {"loss": "huber"}), (IdentitySettings, {"under": 0.0}), (IdentityDataSettings, {"windows": 0})],
)
def test_identity_settings_are_checked(kind, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        kind(**wrong)


def test_confidence_settings_are_checked():
    with pytest.raises(ValueError, match="fewest"):
        ConfidenceDataSettings(fewest=6)
    assert ConfidenceDataSettings().views == IdentityDataSettings().views == Path("runs/person_views")
