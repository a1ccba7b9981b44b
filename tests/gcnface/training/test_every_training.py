"""Every shipped configuration: resumed runs end with the same bytes, checkpoints load alone, few faces will do."""

import shutil
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import gcnface
import gcnface.training.refiner as refiner_training
from coarse.face_model import load_face_model
from coarse.regressor import SHIPPED_WEIGHTS as REGRESSOR_WEIGHTS
from coarse.spatial_transformer import localizer as localizer
from gcnface.cli.train import PARTS, resolve
from gcnface.errors import DivergedError, FileError
from gcnface.training import regressor as regressor_training
from gcnface.training.baselines import baseline_training, brief
from gcnface.training.configuration import plain
from gcnface.training.runs import TrainingModule
from refine.facenet import load_facenet
from refine.stored import REFINER_WEIGHTS
from tests.gcnface.annotated_folder import write_prepared_faces
from tests.gcnface.head_folder import write_heads

pytestmark = pytest.mark.usefixtures("quiet_training", "_quick")

CONFIGS = sorted((Path(__file__).parents[3] / "configs").glob("*.yaml"))
PARSER_WEIGHTS = Path(gcnface.__file__).parent / "assets" / "parser.safetensors"
STARTS = {"parser": PARSER_WEIGHTS, "regressor": REGRESSOR_WEIGHTS, "identity": REGRESSOR_WEIGHTS}
STARTS |= {"refiner": REFINER_WEIGHTS}
BASELINES = ("image", "no_pyramid")
"""Those of other networks than the configurations'; what the others change, configurations change too."""


ROWS = (0, 2, 3, 4)
"""Faces of the tiny folder that are used: two photographs, one of a held-out person, a drawn face."""


class SmallBackbone(nn.Module):
    """In place of VGG-16, whose checkpoints have 1.6 GB; it draws random numbers in every step."""

    outputs = 16

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 16, 16, 16), nn.ReLU(), nn.Dropout(0.5))

    def forward(self, crops):
        return self.layers(crops).mean((2, 3))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Prepared faces, their label maps, rendered heads and what is kept between runs."""
    root = tmp_path_factory.mktemp("folders")
    data = write_prepared_faces(root)
    keep_rows(data, ROWS)
    np.save(root / "teacher.npy", np.load(data / "labels.npy"))
    heads = write_heads(root / "heads", (0, 0, 0, 2, 2), held_out=2, photographic=(0,))
    return {"data": data, "heads": heads, "root": root}


def keep_rows(data, rows):
    """Leave out all other faces of a prepared folder."""
    for path in data.glob("*.npy"):
        np.save(path, np.load(path)[list(rows)])
    head, *lines = (data / "table.csv").read_text().splitlines()
    (data / "table.csv").write_text("\n".join([head, *(lines[row] for row in rows)]) + "\n")


@pytest.fixture(scope="module")
def networks():
    """Networks that nothing trains, loaded once."""
    facenet, observer = load_facenet(), refiner_training.load_observer(load_face_model())
    return facenet, observer


@pytest.fixture
def _quick(monkeypatch, networks):
    facenet, observer = networks
    for module in (regressor_training, refiner_training):
        monkeypatch.setattr(module, "load_facenet", lambda: facenet)
    monkeypatch.setattr(refiner_training, "load_observer", lambda model: observer)
    monkeypatch.setattr(localizer, "VggBackbone", SmallBackbone)


def part_of(config):
    return max((name for name in PARTS if config.stem.replace("_", "-").startswith(name)), key=len)


def shrunk(config, folders, output):
    """The training's function and a configuration that is the shipped one but for what makes it long."""
    part, root = part_of(config), folders["root"]
    function, settings = resolve(part, ["--config", str(config)])
    brief_run = {"epochs": 2, "threads": 1, "tensorboard": False, "pictures_every": 0}
    run = replace(settings.run, output=output, accelerator="cpu", **brief_run)
    changes = {
        "data": folders["data"],
        "run": run,
        "views": root / "views",
        "epoch_steps": 1,
        "batch_size": 3,
        "rendered": 1,
        "paired": 1,
        "drawn_from_epoch": 1,
        "drawn_faces": 1,
        "copies": 1,
        "faces_an_epoch": 2,
        "drawn_every": 1,
    }
    if getattr(settings, "heads", None) is not None:
        changes["heads"] = folders["heads"]
    if getattr(settings, "start", None) is not None:
        changes["start"] = STARTS[part]
    if getattr(settings, "labels", None) is not None:
        changes["labels"] = root / "teacher.npy"
    if getattr(settings, "halve_every", 0):
        changes["halve_every"] = 1
    if part == "refiner":
        changes |= {"observations": root / f"observations_{settings.heads is not None}", "batch_size": 1}
        changes["critic"] = replace(settings.critic, network=replace(settings.critic.network, side=32))
    names = {field.name for field in fields(settings)}
    return function, replace(settings, **{name: value for name, value in changes.items() if name in names})


def in_folder(settings, output):
    return replace(settings, run=replace(settings.run, output=output))


def run_and_copy(function, settings, copy, monkeypatch):
    """Run; `copy` becomes what a kill after the first step of the second epoch would have left of its folder."""

    def leave(module, *args):
        if module.current_epoch == 1 and not copy.exists():
            shutil.copytree(settings.run.output, copy)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "on_train_batch_end", leave)
        return function(settings)


def tensors(checkpoint):
    """What float16 weights do not show: weights in full and what the optimisers keep of them."""
    kept = torch.load(checkpoint, weights_only=True)
    states = [state for optimizer in kept["optimizer_states"] for state in optimizer["state"].values()]
    return [value for state in (kept["state_dict"], *states) for value in state.values()]


def check_resumed(function, settings, tmp_path, monkeypatch):
    """Whole and resumed run give the same weights; the whole run's output folder is returned."""
    broken = in_folder(settings, tmp_path / "broken")
    whole = run_and_copy(function, in_folder(settings, tmp_path / "whole"), broken.run.output, monkeypatch)
    assert not (broken.run.output / whole.name).exists()
    torch.manual_seed(99)  # a new process would not have the random numbers of this one
    resumed = function(broken)
    assert whole.read_bytes() == resumed.read_bytes()
    for one, other in zip(*(tensors(path.parent / "last.ckpt") for path in (whole, resumed)), strict=True):
        assert torch.equal(one, other)
    assert [path.name for path in whole.parent.glob("*.ckpt")] == ["last.ckpt"]
    assert not list(whole.parent.glob("*.part"))
    return whole.parent


def subclasses(kind):
    return [kind, *(deeper for one in kind.__subclasses__() for deeper in subclasses(one))]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_resumed_run_ends_with_the_bytes_of_an_unbroken_one(config, folders, tmp_path, monkeypatch):
    function, settings = shrunk(config, folders, tmp_path)
    output = check_resumed(function, settings, tmp_path, monkeypatch)
    kind = next(c for c in subclasses(TrainingModule) if getattr(c, "configured_by", None) is type(settings))
    module = kind.load_from_checkpoint(output / "last.ckpt", weights_only=True)
    assert module.settings == in_folder(settings, output)
    kept = torch.load(output / "last.ckpt", weights_only=True)
    assert kept["hyper_parameters"] == plain(module.settings)
    for name, value in kept["state_dict"].items():
        torch.testing.assert_close(module.state_dict()[name], value, rtol=0, atol=0)


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_can_be_resumed(name, folders, tmp_path, monkeypatch):
    base = brief(folders["data"], folders["heads"], tmp_path)
    run = replace(base.run, epochs=2, accelerator="cpu", pictures_every=0)
    critic = replace(base.critic, network=replace(base.critic.network, side=32))
    base = replace(base, run=run, critic=critic, faces_an_epoch=1, batch_size=1)
    base = replace(base, observations=folders["root"] / "observations_baselines")
    check_resumed(refiner_training.train_refiner, baseline_training(name, base), tmp_path, monkeypatch)


def few(tmp_path, rows, held_out):
    """Folders of some of the faces, with two heads of the first."""
    data = write_prepared_faces(tmp_path)
    keep_rows(data, rows)
    np.save(tmp_path / "teacher.npy", np.load(data / "labels.npy"))
    heads = write_heads(tmp_path / "heads", (0, 0), held_out, photographic=(0,))
    return {"data": data, "heads": heads, "root": tmp_path}


FIRST = [next(path for path in CONFIGS if part_of(path) == part) for part in PARTS]


@pytest.mark.parametrize("config", FIRST, ids=lambda path: path.stem)
def test_one_face_is_enough(config, tmp_path):
    function, settings = shrunk(config, few(tmp_path, rows=(0,), held_out=None), tmp_path / "run")
    settings = replace(settings, run=replace(settings.run, epochs=1))
    assert function(settings).is_file()


@pytest.mark.parametrize("config", FIRST, ids=lambda path: path.stem)
def test_a_folder_with_nobody_to_learn_from_is_named(config, tmp_path):
    function, settings = shrunk(config, few(tmp_path, rows=(3,), held_out=0), tmp_path / "run")
    with pytest.raises(FileError, match=f"{settings.data}|{tmp_path / 'heads'}: holds nobody to learn from"):
        function(settings)


@pytest.mark.parametrize("loss", ["total", "critic_loss"])
def test_a_refiner_or_critic_that_diverges_writes_nothing(folders, tmp_path, monkeypatch, loss):
    config = next(path for path in CONFIGS if path.stem == "refiner")
    function, settings = shrunk(config, folders, tmp_path)
    finite = getattr(refiner_training, loss)
    monkeypatch.setattr(refiner_training, loss, lambda *args: finite(*args) * float("nan"))
    with pytest.raises(DivergedError, match="the loss is no longer finite in step 1,"):
        function(settings)
    assert not list(tmp_path.glob("*.safetensors"))
    assert not list(tmp_path.glob("*.ckpt"))
