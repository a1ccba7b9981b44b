"""Every shipped configuration: resumed runs end with the same bytes, checkpoints load alone, few faces will do."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import gcnface
from coarse.face_model import load_face_model
from coarse.position_network import SHIPPED_WEIGHTS as POSITION_MAP_WEIGHTS
from coarse.regressor import SHIPPED_WEIGHTS as REGRESSOR_WEIGHTS
from coarse.spatial_transformer import localizer as localizer
from coarse.spatial_transformer.localizer import SHIPPED_WEIGHTS as LOCALIZER_WEIGHTS
from gcnface.cli.train import TRAINABLES, prepared, train
from gcnface.errors import DivergedError, FileError, GcnfaceError
from gcnface.training import baselines, refiner_data
from gcnface.training import refiner as refiner_training
from gcnface.training import regressor as regressor_training
from gcnface.training.configuration import plain
from gcnface.training.module import TrainingModule, usual_precision
from refine.facenet import load_facenet
from refine.stored import REFINER_WEIGHTS
from tests.gcnface.annotated_folder import write_prepared_faces
from tests.gcnface.head_folder import write_heads
from tests.tolerances import EQUAL

pytestmark = pytest.mark.usefixtures("quiet_training", "_quick")

CONFIGS = sorted((Path(__file__).parents[3] / "configs").glob("*.yaml"))
PARSER_WEIGHTS = Path(gcnface.__file__).parent / "assets" / "parser.safetensors"
STARTS = {"parser": PARSER_WEIGHTS, "regressor": REGRESSOR_WEIGHTS, "identity": REGRESSOR_WEIGHTS}
STARTS |= {"refiner": REFINER_WEIGHTS, "position-map": POSITION_MAP_WEIGHTS, "stn": LOCALIZER_WEIGHTS}
DIFFERENT = {part.replace("-", "_") for part in TRAINABLES} | {"position_map_prnet", "refiner_paper"}
"""Configurations that run what no other runs: the first of each training, and other schedules."""
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
    write_faceless(root)
    return {"data": data, "heads": heads, "root": root}


def write_faceless(root):
    """A folder with a picture of nothing."""
    (root / "faceless").mkdir()
    Image.fromarray(np.full((60, 80, 3), 128, np.uint8)).save(root / "faceless" / "gray.png")


def keep_rows(data, rows):
    """Leave out all other faces of a prepared folder."""
    for path in data.glob("*.npy"):
        np.save(path, np.load(path)[list(rows)])
    head, *lines = (data / "table.csv").read_text().splitlines()
    (data / "table.csv").write_text("\n".join([head, *(lines[row] for row in rows)]) + "\n")


@pytest.fixture(scope="module")
def networks():
    """Networks that nothing trains, loaded once."""
    facenet, observer = load_facenet(), refiner_data.load_observer(load_face_model())
    return facenet, observer


@pytest.fixture
def _quick(monkeypatch, networks):
    facenet, observer = networks
    for module in (regressor_training, refiner_training):
        monkeypatch.setattr(module, "load_facenet", lambda: facenet)
    monkeypatch.setattr(refiner_data, "load_observer", lambda model: observer)
    monkeypatch.setattr(localizer, "VggBackbone", SmallBackbone)


def part_of(config):
    return max((name for name in TRAINABLES if config.stem.replace("_", "-").startswith(name)), key=len)


SHORT = {
    "parser": ["data.epoch_steps=1", "data.batch_size=3"],
    "regressor": ["model.rendered=1", "model.drawn_from_epoch=1", "data.batch_size=3"],
    "identity": ["data.batch_size=3"],
    "confidence": ["data.batch_size=3"],
    "pose": ["data.batch_size=3"],
    "position-map": ["data.batch_size=3"],
    "refiner": [
        *("model.critic.network.side=32", "model.drawn_every=1", "data.batch_size=1"),
        *("data.drawn_faces=1", "data.copies=1", "data.faces_an_epoch=2"),
    ],
    "stn": ["model.paired=1", "data.batch_size=3"],
}
"""What makes a training short; the rest is as shipped."""


def shrunk(config, folders, output, *more):
    """The training's name, and words by which its configuration is the shipped one but for what makes it long."""
    part, root, text = part_of(config), folders["root"], config.read_text()
    words = ["--config", str(config), f"trainer.default_root_dir={output}", "trainer.max_epochs=2", "threads=1"]
    words += ["trainer.accelerator=cpu", "pictures.every=0", f"data.faces={folders['data']}", *SHORT[part]]
    with_heads = "  heads:" in text
    if with_heads or part in ("identity", "confidence", "pose", "position-map"):
        words.append(f"data.heads={folders['heads']}")
    if "bf16-mixed" in text:
        words.append(f"trainer.precision={usual_precision()}")
    if "\n  start:" in text:
        words.append(f"model.start={STARTS[part]}")
    if "  faceless:" in text:
        words.append(f"data.faceless={root / 'faceless'}")
    if "  labels:" in text:
        words.append(f"data.labels={root / 'teacher.npy'}")
    if "  halve_every:" in text:
        words.append("model.halve_every=1")
    if part in ("identity", "confidence"):
        words.append(f"data.views={root / 'views'}")
    if part in ("pose", "position-map"):
        words.append(f"data.fits={root / 'fits'}")
    if part == "refiner":
        words.append(f"data.observations={root / f'observations_{with_heads}'}")
    return part, [*words, *more]


def in_folder(words, output):
    """The same words or mapping for another folder."""
    if isinstance(words, dict):
        return words | {"trainer": words["trainer"] | {"default_root_dir": str(output)}}
    return [*words, f"trainer.default_root_dir={output}"]


def run_and_copy(name, words, output, copy, monkeypatch):
    """Run; `copy` becomes what a kill after the first step of the second epoch would have left of its folder."""

    def leave(module, *args):
        if module.current_epoch == 1 and not copy.exists():
            shutil.copytree(output, copy)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "on_train_batch_end", leave)
        return train(name, in_folder(words, output))


def tensors(checkpoint):
    """What float16 weights do not show: weights in full and what the optimisers keep of them."""
    kept = torch.load(checkpoint, weights_only=True)
    states = [state for optimizer in kept["optimizer_states"] for state in optimizer["state"].values()]
    parts = (kept["state_dict"], kept.get("current_model_state", {}), *states)
    return [value for state in parts for value in state.values()]


def check_resumed(name, words, tmp_path, monkeypatch):
    """Whole and resumed run give the same weights; the whole run's output folder is returned."""
    broken = tmp_path / "broken"
    whole = run_and_copy(name, words, tmp_path / "whole", broken, monkeypatch)
    assert not (broken / whole.name).exists()
    torch.manual_seed(99)  # a new process would not have the random numbers of this one
    resumed = train(name, in_folder(words, broken))
    assert whole.read_bytes() == resumed.read_bytes()
    for one, other in zip(*(tensors(path.parent / "last.ckpt") for path in (whole, resumed)), strict=True):
        assert torch.equal(one, other)
    assert [path.name for path in whole.parent.glob("*.ckpt")] == ["last.ckpt"]
    assert not list(whole.parent.glob("*.part"))
    return whole.parent


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [pytest.param(path, marks=() if path.stem in DIFFERENT else pytest.mark.exhaustive) for path in CONFIGS],
    ids=[path.stem for path in CONFIGS],
)
def test_a_resumed_run_ends_with_the_bits_of_an_unbroken_one(config, folders, tmp_path, monkeypatch):
    name, words = shrunk(config, folders, tmp_path)
    output = check_resumed(name, words, tmp_path, monkeypatch)
    run = prepared(name, in_folder(words, output))
    module = type(run.model).load_from_checkpoint(output / "last.ckpt", weights_only=True)
    assert module.settings == run.model.settings
    kept = torch.load(output / "last.ckpt", weights_only=True)
    assert {k: v for k, v in kept["hyper_parameters"].items() if k[0] != "_"} == plain(module.settings)
    assert kept["datamodule_hyper_parameters"] == plain(run.datamodule.settings)
    for key, value in kept["state_dict"].items():
        torch.testing.assert_close(module.state_dict()[key], value, **EQUAL)
    again = prepared(name, ["--config", str(output / "config.yaml")])
    assert (again.model.settings, again.datamodule.settings) == (module.settings, run.datamodule.settings)


@pytest.mark.slow
@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_can_be_resumed(name, folders, tmp_path, monkeypatch):
    words = baselines.baseline_training(name, folders["data"], folders["heads"], tmp_path)
    words["trainer"] |= {"max_epochs": 2, "accelerator": "cpu"}
    words["model"]["critic"]["network"]["side"] = 32
    words["data"] |= {"faces_an_epoch": 1, "batch_size": 1, "observations": folders["root"] / "observations_baselines"}
    check_resumed("refiner", words | {"pictures": {"every": 0}}, tmp_path, monkeypatch)


def few(tmp_path, rows, held_out):
    """Folders of some of the faces, with two heads of the first."""
    data = write_prepared_faces(tmp_path)
    keep_rows(data, rows)
    np.save(tmp_path / "teacher.npy", np.load(data / "labels.npy"))
    heads = write_heads(tmp_path / "heads", (0, 0), held_out, photographic=(0,))
    write_faceless(tmp_path)
    return {"data": data, "heads": heads, "root": tmp_path}


FIRST = [next(path for path in CONFIGS if part_of(path) == part) for part in TRAINABLES]


@pytest.mark.parametrize("config", FIRST, ids=lambda path: path.stem)
def test_one_face_is_enough(config, tmp_path):
    name, words = shrunk(config, few(tmp_path, rows=(0,), held_out=None), tmp_path / "run", "trainer.max_epochs=1")
    assert train(name, words).is_file()


@pytest.mark.parametrize("config", FIRST, ids=lambda path: path.stem)
def test_a_folder_with_nobody_to_learn_from_is_named(config, tmp_path):
    folders = few(tmp_path, rows=(3,), held_out=0)
    name, words = shrunk(config, folders, tmp_path / "run")
    with pytest.raises(FileError, match=f"{folders['data']}|{tmp_path / 'heads'}: holds nobody to learn from"):
        train(name, words)


@pytest.mark.parametrize("loss", ["log_total", "critic_terms"])
def test_a_refiner_or_critic_that_diverges_writes_nothing(folders, tmp_path, monkeypatch, loss):
    config = next(path for path in CONFIGS if path.stem == "refiner")
    name, words = shrunk(config, folders, tmp_path)
    if loss == "log_total":
        total = TrainingModule.log_total
        monkeypatch.setattr(TrainingModule, loss, lambda self, terms: total(self, terms) * float("nan"))
    else:
        terms = refiner_training.critic_terms
        spoiled = lambda *args, **more: {k: v * float("nan") for k, v in terms(*args, **more).items()}  # noqa: E731
        monkeypatch.setattr(refiner_training, loss, spoiled)
    with pytest.raises(DivergedError, match="the loss is no longer finite in step 1,"):
        train(name, words)
    assert not list(tmp_path.glob("*.safetensors"))
    assert not list(tmp_path.glob("*.ckpt"))


@pytest.mark.slow
@pytest.mark.parametrize("config", FIRST, ids=lambda path: path.stem)
def test_a_fast_dev_run_goes_through_and_writes_nothing(config, folders, tmp_path):
    words = ("trainer.fast_dev_run=true", "trainer.profiler=simple", "pictures.every=1", "data.num_workers=1")
    name, words = shrunk(config, folders, tmp_path, *words)
    run = prepared(name, words)
    assert run.fit() is None
    assert run.trainer.global_step == 1
    assert "fit_loop" in run.trainer.profiler.summary() or "run_training_batch" in run.trainer.profiler.summary()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "fit-profile.txt"]


REFINER_ALONE = ["model.rate=decay", "model.drawn_every=99", "model.learning_rate=2e-4"]
"""Without a critic, which changes what is learned, at a rate that goes with steps of one face."""


@pytest.mark.slow
@pytest.mark.parametrize("stem", ["regressor", "refiner"])
def test_one_batch_is_learned_by_heart(folders, tmp_path, stem):
    """Lightning's own way to see whether a training learns: the same batch in every epoch."""
    config = next(path for path in CONFIGS if path.stem == stem)
    words = ["trainer.overfit_batches=1", "trainer.max_epochs=12", "trainer.logger=false", "ckpt_path=null"]
    words += ["trainer.limit_val_batches=0", "trainer.enable_checkpointing=false"]
    words += ["model.drawn_from_epoch=20"] if stem == "regressor" else REFINER_ALONE
    name, words = shrunk(config, folders, tmp_path, *words)
    run, losses = prepared(name, words), []
    run.model.on_train_batch_end = lambda outputs, *args: losses.append(float(outputs["loss"]))
    run.fit()
    assert len(losses) == 12
    assert losses[-1] < 0.8 * losses[0], losses


@pytest.mark.slow
def test_workers_make_the_same_samples(folders, tmp_path):
    for config in FIRST:
        name, words = shrunk(config, folders, tmp_path)
        batches = []
        for workers in (0, 2):
            data = prepared(name, [*words, f"data.num_workers={workers}"]).datamodule
            data.prepare_data()
            data.setup("fit")
            loader = data.train_dataloader()
            loader.sampler.set_epoch(1)
            batches.append([parts(batch) for batch in loader])
        assert len(batches[0]) == len(batches[1]) > 0
        for one, other in zip(*batches, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True)), name


def parts(batch):
    return list(batch) if isinstance(batch, (list, tuple)) else list(vars(batch).values())


def test_gradients_are_accumulated_over_batches(folders, tmp_path):
    words = {config.stem: shrunk(config, folders, tmp_path / config.stem) for config in FIRST}
    name, words = words["regressor"]
    more = ["data.batch_size=1", "trainer.max_epochs=1", "trainer.accumulate_grad_batches=2"]
    run = prepared(name, [*words, *more])
    run.fit()
    assert run.trainer.num_training_batches == 3
    assert run.trainer.global_step == run.model.planned_steps() == 2


@pytest.mark.parametrize("word", ["accumulate_grad_batches=2", "gradient_clip_val=0.5"])
def test_what_manual_optimization_does_not_know_is_told_in_one_line(folders, tmp_path, word):
    config = next(path for path in CONFIGS if path.stem == "refiner")
    name, words = shrunk(config, folders, tmp_path, f"trainer.{word}")
    said = rf"^Lightning cannot train so: Automatic gradient [^\n]* manual optimization[^\n]*{word}[^\n]*$"
    with pytest.raises(GcnfaceError, match=said):
        train(name, words)
