"""What goes wrong in a run is said in one line, and leaves the last checkpoint as it was."""

import os
import pickle
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from gcnface.cli import train as cli
from gcnface.errors import DivergedError, FileError, GcnfaceError, OutputError, WeightsError
from gcnface.training.checkpoints import WholeCheckpoints, check_plain, check_resumable, read_checkpoint
from gcnface.training.loading import SeededOrder, SeededSamples
from tests.gcnface.small_training import PART, QUICK, Small, SmallData, fit, small

pytestmark = pytest.mark.usefixtures("quiet_training")


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setitem(cli.TRAINABLES, "small", PART)


def train_small(output, *words):
    return small(output, *words).fit()


def call(output, *words):
    """The exit status of the command."""
    return cli.main(["small", *QUICK, f"trainer.default_root_dir={output}", *words])


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, capsys):
    with pytest.raises(DivergedError, match=r"the loss is no longer finite in step \d+, .*learning_rate"):
        train_small(tmp_path / "a", "model.rate=1e30")
    assert not list((tmp_path / "a").glob("*.safetensors"))
    assert call(tmp_path / "b", "model.rate=1e30") == 1
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
        train_small(tmp_path)
    kept = read_checkpoint(tmp_path / "last.ckpt")
    assert kept["epoch"] == 0
    assert not list(tmp_path.glob("*.safetensors"))


def test_weights_too_large_for_their_file_are_not_written(tmp_path):
    module = Small()
    module.network[3].weight.data[0, 0] = 1e6
    with pytest.raises(DivergedError, match="weight is no longer finite as float16"):
        module.export(tmp_path)
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
    train_small(tmp_path, "trainer.max_epochs=1")
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
def test_a_damaged_checkpoint_is_named(tmp_path, monkeypatch, capsys, kind):
    monkeypatch.chdir(tmp_path)
    last = Path("run") / "last.ckpt"
    train_small("run", "trainer.max_epochs=1")
    whole = last.read_bytes()
    last.unlink()
    if kind == "folder":
        last.mkdir()
    elif kind in ("trapped", "foreign"):
        torch.save({"state_dict": Trap() if kind == "trapped" else {}}, last)
    else:
        last.write_bytes(damaged(kind, whole))
    with pytest.raises(WeightsError, match=r"run/last\.ckpt: is"):
        train_small("run")
    assert call("run") == 1
    *_, line = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("gcnface: run/last.ckpt: is ")
    assert not Path("sprung").exists()


def test_a_checkpoint_of_another_network_or_of_a_longer_run_is_told(tmp_path):
    train_small(tmp_path)
    with pytest.raises(GcnfaceError, match=r"2 epochs are over, trainer\.max_epochs is 1"):
        train_small(tmp_path, "trainer.max_epochs=1")
    with pytest.raises(WeightsError, match=r"another configuration \(.* differs"):
        check_resumable(torch.nn.Sequential(torch.nn.Linear(2, 2)), tmp_path / "last.ckpt", 2)


def test_a_run_that_is_over_writes_its_weights_again(tmp_path):
    weights = train_small(tmp_path)
    before = weights.read_bytes()
    weights.unlink()
    assert train_small(tmp_path).read_bytes() == before


def test_a_run_that_has_stopped_early_does_not_go_on(tmp_path):
    early = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=valid/figure"]

    def over(patience):
        more = [*early, f"--trainer.callbacks.patience={patience}", "trainer.max_epochs=9", "pictures.every=0"]
        return fit(tmp_path, *more)[1].current_epoch

    assert over(2) == over(2) == 3
    assert over(3) == 4


def test_a_named_checkpoint_or_none_is_gone_on_from(tmp_path):
    train_small(tmp_path / "one", "trainer.max_epochs=1")
    _, trainer = fit(tmp_path / "two", f"ckpt_path={tmp_path / 'one' / 'last.ckpt'}")
    assert (trainer.current_epoch, trainer.global_step) == (2, 4)
    anew = train_small(tmp_path / "one", "ckpt_path=null").read_bytes()
    assert anew == train_small(tmp_path / "three").read_bytes()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_end_a_run_in_one_line(tmp_path, monkeypatch, capsys, name):
    def ask_to_end(module, *args):
        if module.current_epoch == 1:
            os.kill(os.getpid(), getattr(signal, name))

    monkeypatch.setattr(Small, "on_train_batch_end", ask_to_end, raising=False)
    before = signal.getsignal(getattr(signal, name))
    assert call(tmp_path) == 128 + getattr(signal, name)
    *_, line = capsys.readouterr().err.strip().splitlines()
    assert line == f"gcnface: stopped by {name}; the same command goes on from {tmp_path / 'last.ckpt'}"
    assert read_checkpoint(tmp_path / "last.ckpt")["epoch"] == 0
    assert not list(tmp_path.glob("*.safetensors"))
    assert signal.getsignal(getattr(signal, name)) == before


def loader(learn, batch_size):
    data = SmallData(learn=learn, batch_size=batch_size)
    data.setup()
    return list(data.train_dataloader())


def test_too_few_samples_make_one_small_batch_and_none_are_told():
    assert [len(images) for images, _ in loader(3, 32)] == [3]
    assert len(loader(9, 4)) == 2
    with pytest.raises(FileError, match="faces: holds nobody to learn from"):
        loader(0, 4)


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


def test_processes_share_one_order():
    whole = list(SeededOrder(7, 3))
    shares = [list(SeededOrder(7, 3, processes=2, rank=rank)) for rank in range(2)]
    assert shares == [whole[0:6:2], whole[1:6:2]]
    assert [len(SeededOrder(7, 3, processes=2, rank=rank)) for rank in range(2)] == [3, 3]


def test_weights_decide_how_often_a_sample_is_drawn():
    drawn = [index for index, _ in SeededOrder(3, 0, 3000, np.array([1.0, 0.0, 3.0]))]
    assert len(drawn) == 3000
    assert np.bincount(drawn, minlength=3)[1] == 0
    assert np.mean(np.array(drawn) == 2) == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    "word",
    ["threads=0", "pictures.every=-1", "data.batch_size=0", "data.num_workers=-1", "model.rate=-1"],
)
def test_senseless_numbers_are_refused(tmp_path, capsys, word):
    with pytest.raises(SystemExit) as caught:
        call(tmp_path, word)
    assert caught.value.code == 2
    name, _, value = word.rpartition(".")[2].partition("=")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith(f"gcnface train small: {name} is {value}")


@pytest.mark.parametrize(
    "word",
    [
        *("precision=16-wrong", "gradient_clip_val=nan", "max_epochs=1e3x", "logger=Nose", "callbacks=Nose"),
        *("max_epochs=", "max_epoch=3"),
    ],
)
def test_what_is_none_of_lightnings_values_takes_one_line(tmp_path, capsys, word):
    with pytest.raises(SystemExit) as caught:
        call(tmp_path, f"trainer.{word}")
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"trainer.{word.partition('=')[0]}" in said


@pytest.mark.parametrize(
    "word",
    [
        *("devices=many", "devices=0,x", "devices=0", "accelerator=abacus", "accelerator=tpu", "strategy=luck"),
        *("strategy=deepspeed", "max_epochs=-3", "num_nodes=0", "profiler=nose"),
    ],
)
def test_what_lightning_cannot_do_is_one_error_that_names_the_argument(tmp_path, word):
    with pytest.raises(GcnfaceError, match=rf"^(trainer\.\S+ )*trainer\.{word} .*choose another[^\n]*$"):
        train_small(tmp_path, f"trainer.{word}")


@pytest.mark.parametrize("word", ["val_check_interval=9", "check_val_every_n_epoch=0"])
def test_what_lightning_finds_out_later_is_one_line_too(tmp_path, word):
    with pytest.raises(GcnfaceError, match=r"^Lightning cannot train so: [^\n]+$"):
        train_small(tmp_path, f"trainer.{word}")


@pytest.mark.parametrize(("watch", "held_out"), [("EarlyStopping", 0), ("EarlyStopping", 4), ("ModelCheckpoint", 4)])
def test_a_figure_to_watch_is_one_that_is_logged(tmp_path, watch, held_out):
    words = [f"--trainer.callbacks+={watch}", "--trainer.callbacks.monitor=nose", f"data.held_out={held_out}"]
    with pytest.raises(GcnfaceError, match=r"^Lightning cannot train so: [^\n]*nose[^\n]*train/loss[^\n]*$"):
        train_small(tmp_path, *words)


@pytest.mark.parametrize("words", [["max_epochs=1"], ["max_epochs=7", "limit_train_batches=1"], ["max_steps=3"]])
def test_one_cycle_takes_any_number_of_steps(tmp_path, monkeypatch, words):
    def configure(module):
        return module.one_cycle(torch.optim.SGD(module.parameters(), 0.5))

    monkeypatch.setattr(Small, "configure_optimizers", configure)
    monkeypatch.setattr(Small, "warm_up", 0.5)
    _, trainer = fit(tmp_path, "trainer.max_epochs=9", *(f"trainer.{word}" for word in words))
    assert trainer.lr_scheduler_configs[0].scheduler.total_steps == trainer.global_step


def test_one_cycle_needs_an_end(tmp_path, monkeypatch):
    def configure(module):
        return module.one_cycle(torch.optim.SGD(module.parameters(), 0.5))

    monkeypatch.setattr(Small, "configure_optimizers", configure)
    with pytest.raises(GcnfaceError, match="the run has inf steps, for which the learning rate has no schedule"):
        train_small(tmp_path, "trainer.max_epochs=-1")


def test_a_run_says_nothing_needless(tmp_path, capfd):
    import logging

    logging.getLogger("lightning.pytorch").setLevel(logging.INFO)
    train_small(tmp_path)
    said = "".join(capfd.readouterr())
    for word in ("litlogger", "Tip", "TPU", "Seed set", "flops_per_batch"):
        assert word not in said
