"""What goes wrong in a run is said in one line, and leaves the last checkpoint as it was."""

import os
import pickle
import signal
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from gcnface.cli import train as cli
from gcnface.cli.train import Part
from gcnface.errors import DivergedError, FileError, GcnfaceError, OutputError, WeightsError
from gcnface.training.checkpoints import WholeCheckpoints, check_plain, check_resumable, read_checkpoint
from gcnface.training.configuration import plain, record
from gcnface.training.loading import SeededOrder, SeededSamples, training_loader
from gcnface.training.runs import RunSettings, one_cycle, save_weights, train
from tests.gcnface.small_training import Small, Training, train_small

pytestmark = pytest.mark.usefixtures("quiet_training")


def settings(output, rate=0.1, **run):
    known = {"epochs": 2, "threads": 1, "accelerator": "cpu", "tensorboard": False, "precision": "32-true"}
    return Training(RunSettings(output, **(known | run)), rate)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(cli.PARTS, "small", Part("tests.gcnface.small_training", "train_small", "a small network"))


def words(chosen):
    run = {name: value for name, value in plain(chosen.run).items() if name not in ("monitor",)}
    return ["small", f"rate={chosen.rate}", *(f"run.{name}={value}" for name, value in run.items())]


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, small, capsys):
    with pytest.raises(DivergedError, match=r"the loss is no longer finite in step \d+, .*learning_rate"):
        train_small(settings(tmp_path / "a", rate=1e30))
    assert not list((tmp_path / "a").glob("*.safetensors"))
    assert cli.main(words(settings(tmp_path / "b", rate=1e30))) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("gcnface: the loss is no longer finite")
    assert not any("Traceback" in line for line in lines)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_reach_no_file(tmp_path, monkeypatch, value):
    def spoil(module, *args):
        if module.current_epoch == 1:
            module.network[0].weight.data[0] = value

    monkeypatch.setattr(Small, "on_train_batch_end", spoil, raising=False)
    monkeypatch.setattr(Small, "training_step", lambda module, *args: module.network[3].bias.square().sum())
    with pytest.raises(DivergedError, match=r"network.0.weight is no longer finite after 4 steps"):
        train_small(settings(tmp_path))
    kept = read_checkpoint(tmp_path / "last.ckpt")
    assert kept["epoch"] == 0
    assert not list(tmp_path.glob("*.safetensors"))


def test_weights_too_large_for_their_file_are_not_written(tmp_path):
    network = torch.nn.Linear(2, 2)
    network.weight.data[0, 0] = 1e6
    with pytest.raises(DivergedError, match="weight is no longer finite as float16"):
        save_weights(network, tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"optimizer_states": [{"param_groups": [{"lr": np.float64(0.1)}]}]}, r"optimizer_states.0.param_groups.0.lr"),
        ({"a": {"b": Path("x")}}, r"a\.b is a pathlib"),
        ({"a": {np.int64(1): 1}}, "the key a.1"),
    ],
)
def test_nothing_but_plain_values_enters_a_checkpoint(values, name):
    with pytest.raises(TypeError, match=name):
        check_plain(values)


def test_a_checkpoint_is_whole_or_the_one_before(tmp_path, monkeypatch):
    train_small(settings(tmp_path, epochs=1))
    before = (tmp_path / "last.ckpt").read_bytes()
    checkpoint = read_checkpoint(tmp_path / "last.ckpt")

    def half(values, file):
        file.write(before[: len(before) // 2])
        raise RuntimeError("PytorchStreamWriter failed writing file")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OutputError, match="last.ckpt"):
        WholeCheckpoints().save_checkpoint(checkpoint, tmp_path / "last.ckpt")
    assert (tmp_path / "last.ckpt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if "ckpt" in path.name] == ["last.ckpt"]


class Trap:
    def __reduce__(self):
        return os.mkdir, ("sprung",)


def damaged(kind, whole):
    if kind == "truncated":
        return whole[: len(whole) // 2]
    return {"empty": b"", "pickled": pickle.dumps(Trap()), "noise": bytes(range(256)) * 9}[kind]


@pytest.mark.parametrize("kind", ["truncated", "empty", "pickled", "noise", "trapped", "foreign", "folder"])
def test_a_damaged_checkpoint_is_named(tmp_path, monkeypatch, small, capsys, kind):
    monkeypatch.chdir(tmp_path)
    last = Path("run") / "last.ckpt"
    train_small(settings(Path("run"), epochs=1))
    whole = last.read_bytes()
    last.unlink()
    if kind == "folder":
        last.mkdir()
    elif kind in ("trapped", "foreign"):
        torch.save({"state_dict": Trap() if kind == "trapped" else {}}, last)
    else:
        last.write_bytes(damaged(kind, whole))
    with pytest.raises(WeightsError, match=r"run/last\.ckpt: is"):
        train_small(settings(Path("run")))
    assert cli.main(words(settings(Path("run")))) == 1
    *_, line = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("gcnface: run/last.ckpt: is ")
    assert not Path("sprung").exists()


def test_a_checkpoint_of_another_network_or_of_a_longer_run_is_told(tmp_path):
    train_small(settings(tmp_path))
    with pytest.raises(GcnfaceError, match=r"2 epochs are over, run\.epochs is 1"):
        train_small(settings(tmp_path, epochs=1))
    with pytest.raises(WeightsError, match=r"another configuration \(.* differs"):
        check_resumable(torch.nn.Sequential(torch.nn.Linear(2, 2)), tmp_path / "last.ckpt", 2)


def test_a_run_that_is_over_writes_its_weights_again(tmp_path):
    weights = train_small(settings(tmp_path))
    before = weights.read_bytes()
    weights.unlink()
    assert train_small(settings(tmp_path)).read_bytes() == before


def test_a_run_that_has_stopped_early_does_not_go_on(tmp_path):
    chosen = settings(tmp_path, epochs=9, monitor="valid/figure", patience=2, pictures_every=0)

    def over(chosen):
        learn = training_loader(data(8), 4, 0, tmp_path)
        return train(Small(chosen), learn, torch.utils.data.DataLoader(data(4), 4)).current_epoch

    assert over(chosen) == over(chosen) == 3
    assert over(replace(chosen, run=replace(chosen.run, patience=3))) == 4


def data(count):
    return TensorDataset(torch.rand(count, 3, 8, 8), torch.rand(count, 3))


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_end_a_run_in_one_line(tmp_path, monkeypatch, small, capsys, name):
    def ask_to_end(module, *args):
        if module.current_epoch == 1:
            os.kill(os.getpid(), getattr(signal, name))

    monkeypatch.setattr(Small, "on_train_batch_end", ask_to_end, raising=False)
    before = signal.getsignal(getattr(signal, name))
    assert cli.main(words(settings(tmp_path))) == 128 + getattr(signal, name)
    *_, line = capsys.readouterr().err.strip().splitlines()
    assert line == f"gcnface: stopped by {name}; the same command goes on from {tmp_path / 'last.ckpt'}"
    assert read_checkpoint(tmp_path / "last.ckpt")["epoch"] == 0
    assert not list(tmp_path.glob("*.safetensors"))
    assert signal.getsignal(getattr(signal, name)) == before


def test_too_few_samples_make_one_small_batch_and_none_are_told(tmp_path):
    batches = list(training_loader(data(3), 32, 0, tmp_path))
    assert [len(images) for images, _ in batches] == [3]
    assert len(list(training_loader(data(9), 4, 0, tmp_path))) == 2
    with pytest.raises(FileError, match=f"{tmp_path.name}: holds nobody to learn from"):
        training_loader(data(0), 4, 0, tmp_path)


class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        return torch.tensor([index, torch.rand(())])


def test_random_changes_follow_from_seed_and_epoch_alone():
    def epoch(seed, number, count=6):
        order = SeededOrder(6, seed, count)
        order.set_epoch(number)
        samples = SeededSamples(Numbers())
        return torch.stack([samples[key] for key in order])

    before = torch.get_rng_state()
    first = epoch(1, 0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(5)
    assert torch.equal(epoch(1, 0), first)
    assert not torch.equal(epoch(1, 1)[:, 1], first[:, 1])
    assert not torch.equal(epoch(2, 0)[:, 1], first[:, 1])
    assert first[:, 0].sort()[0].tolist() == [0, 1, 2, 3, 4, 5]


def test_weights_decide_how_often_a_sample_is_drawn():
    drawn = [index for index, _ in SeededOrder(3, 0, 3000, np.array([1.0, 0.0, 3.0]))]
    assert len(drawn) == 3000
    assert np.bincount(drawn, minlength=3)[1] == 0
    assert np.mean(np.array(drawn) == 2) == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", -3), ("epochs", 0), ("threads", 0), ("gradient_clip", -1.0), ("gradient_clip", float("nan")),
        ("check_every", 0), ("seed", -1), ("nodes", 0), ("devices", 0), ("patience", -1), ("pictures_every", -1),
    ],
)  # fmt: skip
def test_senseless_numbers_are_refused(name, value):
    with pytest.raises(ValueError, match=f"^{name} is {value}; it must be"):
        RunSettings(Path("x"), **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("precision", "32-wrong"), ("devices", "many"), ("devices", "0,x"), ("accelerator", "abacus"),
        ("accelerator", "tpu"), ("strategy", "luck"), ("strategy", "deepspeed"),
    ],
)  # fmt: skip
def test_what_lightning_cannot_do_is_one_error_that_names_the_setting(tmp_path, name, value):
    with pytest.raises(GcnfaceError, match=rf"^(run\.\S+ )*run\.{name}={value} .*choose another[^\n]*$"):
        train_small(settings(tmp_path, **{name: value}))


def test_a_figure_to_watch_needs_held_out_people(tmp_path):
    with pytest.raises(GcnfaceError, match="nobody is held out"):
        train_small(settings(tmp_path, monitor="valid/figure"))


@pytest.mark.parametrize("run", [{}, {"patience": 1}, {"check_every": 2}])
def test_a_figure_to_watch_is_one_that_is_logged(tmp_path, run):
    batches = torch.utils.data.DataLoader(data(4), 4)
    expected = r"^run\.monitor is 'nose', which is not logged; name one of lr-SGD, train/loss, valid/figure$"
    with pytest.raises(GcnfaceError, match=expected):
        train(Small(settings(tmp_path, monitor="nose", **run)), batches, batches)
    train(Small(settings(tmp_path, monitor="train/loss", **run)), batches, batches)


def test_one_cycle_takes_any_number_of_steps():
    class Trainer:
        estimated_stepping_batches = 10

    @dataclass
    class Module:
        trainer = Trainer()

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.5)
    schedule = one_cycle(Module(), optimizer, warm_up=0.1)["lr_scheduler"]["scheduler"]
    assert 0 < schedule.get_last_lr()[0] <= 0.5


def test_a_record_survives_its_plain_form():
    chosen = settings(Path("some/where"), devices="0,1", monitor="x")
    assert record(Training, plain(chosen)) == chosen
    assert record(Training, chosen) is chosen


def test_a_run_says_nothing_needless(tmp_path, capfd):
    import logging

    logging.getLogger("lightning.pytorch").setLevel(logging.INFO)
    train_small(settings(tmp_path))
    said = "".join(capfd.readouterr())
    assert "litlogger" not in said
    assert "Tip" not in said
    assert "TPU" not in said
