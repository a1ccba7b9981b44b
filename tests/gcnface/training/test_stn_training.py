"""Training of the spatial transformer on a tiny made-up data set."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from coarse.face_model import load_face_model
from coarse.spatial_transformer.localizer import load_localizer
from coarse.spatial_transformer.losses import TransformerLossWeights
from coarse.spatial_transformer.theta import theta_layout_of
from gcnface.cli.train import train
from gcnface.data.faces import CANVAS_MARGIN_PX, CANVAS_PX, COLUMNS, load_prepared
from gcnface.training.crops import CropBatch, CropDataset, mirror468
from gcnface.training.stn import PersonPairs, StnDataSettings, StnModule, StnSettings, with_mirror_images

PEOPLE = ("anna", "anna", "bert", "anna", "carl", "carl")
SMALL = {"identity": 5, "expression": 4, "side": 16, "paired": 2}
BALANCED = TransformerLossWeights(landmarks=1e-4, prior=1e-5, expression_range=0.01)


pytestmark = pytest.mark.usefixtures("quiet_training")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Noise with the mean face's landmarks, moved about; the last two faces are held out."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    count, model = len(PEOPLE), load_face_model()
    mean = model.landmarks468(model.mean)
    shift = rng.uniform(-8, 8, (count, 1, 2))
    points = mean[:, :2] * [1, -1] + shift + [112 + CANVAS_MARGIN_PX, 106 + CANVAS_MARGIN_PX]
    depth = np.broadcast_to(-mean[:, 2:], (count, 468, 1))
    np.save(folder / "landmarks.npy", np.concatenate([points, depth], 2).astype(np.float32))
    np.save(folder / "canvases.npy", rng.integers(0, 255, (count, CANVAS_PX, CANVAS_PX, 3), np.uint8))
    np.save(folder / "labels.npy", np.ones((count, CANVAS_PX, CANVAS_PX), np.uint8))
    np.save(folder / "canvas_from_photo.npy", np.tile(np.eye(3), (count, 1, 1)))
    with (folder / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row, name in enumerate(PEOPLE):
            writer.writerow([f"{row}.png", name, 0, int(name == "carl"), f"{row}.png"])
    return folder


def run(data, output, *words):
    """Train the small configuration."""
    small = {**SMALL, **{f"weights.{name}": value for name, value in vars(BALANCED).items()}}
    model = [f"model.{name}={value}" for name, value in small.items()]
    trainer = [f"trainer.default_root_dir={output}", "trainer.precision=32-true", "threads=1", "trainer.max_epochs=1"]
    return train("stn", [*trainer, *model, f"data.faces={data}", "data.batch_size=4", *words])


@pytest.fixture(scope="module")
def batch(data):
    faces = load_prepared(data)
    crops = CropDataset(faces, ~faces.validation, augment=False)
    return CropBatch.stack([crops[row] for row in range(4)])


def quiet_module(**changes):
    module = StnModule(**(SMALL | {"weights": BALANCED} | changes))
    module.log = module.log_dict = lambda *args, **kwargs: None
    return module


def test_run_resumes_where_it_stopped_and_its_weights_load(data, tmp_path):
    weights = run(data, tmp_path / "run")
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["global_step"] == 1
    assert run(data, tmp_path / "run", "trainer.max_epochs=2") == weights
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["global_step"] == 2
    logged = (tmp_path / "run" / "log" / "version_1" / "metrics.csv").read_text().splitlines()
    assert "valid/landmarks_percent" in logged[0]
    assert (tmp_path / "run" / "pictures" / "epoch_0001.png").exists()
    assert weights.stat().st_size < 6e6
    load_localizer(theta_layout_of(load_face_model(), 5, 4), weights)


def test_a_batch_is_learned_by_heart(data, batch, tmp_path):
    torch.manual_seed(0)
    # The pictures are noise, which no pose makes symmetric.
    weights = replace(BALANCED, siamese=1e-6, symmetry=1e-6)
    module = quiet_module(landmark_distance=10.0, weights=weights)
    two = replace(batch, **{name: value[:2] for name, value in vars(batch).items()})
    optimizer = torch.optim.Adam(module.network.parameters(), 3e-4)
    terms = []
    for step in range(8):
        loss = module.training_step(two, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        terms.append(loss.item())
    assert np.isfinite(terms).all()
    assert terms[-1] < 0.4 * terms[0], terms


def test_pictures_stand_beside_their_crops(data, batch, tmp_path):
    module = quiet_module().eval()
    with torch.no_grad():
        pictures = module.pictures(batch)
    assert pictures.shape == (4, 3, 224, 448)
    torch.testing.assert_close(pictures[..., :224], batch.image)
    assert pictures[..., 224:].std() > 0.05


@pytest.mark.parametrize("changes", [{"points": "21", "own_visibility": True}, {"visibility": "depth"}, {"paired": 0}])
def test_every_way_of_training_gives_a_gradient(data, batch, tmp_path, changes):
    module = quiet_module(**changes)
    module.training_step(batch, 0).backward()
    gradient = module.network.head.bias.grad
    assert torch.isfinite(gradient).all()
    assert (gradient[:6] != 0).all()


def test_texture_terms_move_the_pose(data, batch, tmp_path):
    weights = TransformerLossWeights(landmarks=0, prior=0)
    module = quiet_module(weights=weights)
    module.training_step(batch, 0).backward()
    assert (module.network.head.bias.grad[:6] != 0).all()


def test_textures_without_skin_teach_nothing(data, batch, tmp_path):
    weights = TransformerLossWeights(landmarks=0, prior=0)
    bare = replace(batch, skin=torch.zeros_like(batch.skin))
    module = quiet_module(weights=weights)
    assert module.training_step(bare, 0) == 0
    everywhere = quiet_module(weights=weights, skin_only=False)
    assert everywhere.training_step(bare, 0) > 0


def test_mirror_images_stand_behind_the_batch(batch):
    mirror = torch.from_numpy(mirror468())
    views = with_mirror_images(batch, mirror, 3)
    assert (len(views.image), views.pairs) == (7, 3)
    mirrored = replace(batch, image=views.image[4:], landmarks=views.landmarks[4:], skin=views.skin[4:])
    again = with_mirror_images(mirrored, mirror, 3)
    for name in ("image", "landmarks", "skin"):
        torch.testing.assert_close(getattr(again, name)[3:], getattr(batch, name)[:3])
    left, right = views.landmarks[4, 33], views.landmarks[4, 263]
    assert left[0] < right[0]


def test_pairs_show_two_photos_of_one_person(data, tmp_path):
    faces = load_prepared(data)
    crops = CropDataset(faces, ~faces.validation, augment=False)
    pairs = PersonPairs(crops, faces.identities[crops.rows])
    assert [sorted(others.tolist()) for others in pairs.others] == [[1, 3], [0, 3], [2], [0, 1]]
    one, other = pairs[0]
    assert (one.image != other.image).any()
    stacked = PersonPairs.stack([pairs[0], pairs[2]])
    np.testing.assert_array_equal(stacked.image[1], stacked.image[3])
    assert run(data, tmp_path, "model.pairs=person").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("backbone", "huge"), ("visibility", "x-ray"), ("pairs", "trios"), ("points", "5"), ("paired", -1)],
)
def test_settings_are_checked(name, value):
    with pytest.raises(ValueError, match=name):
        StnSettings(**{name: value})


def test_heads_have_no_second_photograph():
    with pytest.raises(ValueError, match="flip"):
        StnDataSettings(heads=Path("heads"), pairs="person")
