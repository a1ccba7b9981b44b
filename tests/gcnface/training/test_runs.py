"""What all runs share: several processes, early stop, logs, pictures, checkpoints that know their configuration."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gcnface.io.images import read_photo
from gcnface.training.pictures import tiled
from tests.gcnface import small_training
from tests.gcnface.small_training import Small, fit, samples

ROOT = Path(__file__).parents[3]
FREEZE = "--trainer.callbacks+=gcnface.training.callbacks.FreezeNorm"
EARLY = "--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=valid/figure"
BEST = "--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.monitor=valid/figure"


pytestmark = pytest.mark.usefixtures("quiet_training")


@pytest.mark.slow
def test_two_processes_do_what_one_does_with_the_whole_batch(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.gcnface.small_training", str(tmp_path / "two"), "2"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    small_training.main(tmp_path / "one", 1)
    shared, alone = (torch.load(tmp_path / name / "last.ckpt", weights_only=True) for name in ("two", "one"))
    assert shared["global_step"] == alone["global_step"] == 1
    untrained = small_training.small(tmp_path / "none").model.state_dict()
    for name, value in alone["state_dict"].items():
        torch.testing.assert_close(shared["state_dict"][name], value, rtol=1e-5, atol=1e-7)
    assert (alone["state_dict"]["network.0.weight"] - untrained["network.0.weight"]).abs().max() > 1e-4
    assert len(list((tmp_path / "two" / "pictures").iterdir())) == 1
    names = {name.removeprefix("network.") for name in untrained}
    assert load_file(tmp_path / "two" / "small.safetensors").keys() == names


def test_norms_stay_only_when_asked_to(tmp_path):
    frozen, moving = (
        fit(tmp_path / str(len(words)), "data.batch_size=8", *words)[0].network[1] for words in ([FREEZE], [])
    )
    assert frozen.num_batches_tracked == 0
    assert torch.equal(frozen.running_mean, torch.zeros(4))
    assert moving.num_batches_tracked == 2
    assert moving.running_mean.abs().min() > 0


def test_early_stop_and_best_checkpoint(tmp_path):
    best = [f"--trainer.callbacks.dirpath={tmp_path}", "--trainer.callbacks.filename=best"]
    words = [*EARLY, "--trainer.callbacks.patience=2", *BEST, *best, "trainer.max_epochs=9", "pictures.every=0"]
    _, trainer = fit(tmp_path, *words)
    assert trainer.current_epoch == 3
    assert torch.load(tmp_path / "best.ckpt", weights_only=True)["epoch"] == 0
    assert not (tmp_path / "pictures").exists()


def test_logs_pictures_and_configuration(tmp_path):
    fit(tmp_path, "trainer.log_every_n_steps=1", "data.batch_size=1")
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert kept["hyper_parameters"]["rate"] == 0.1
    assert kept["hyper_parameters"]["widths"] == [4, 8]
    assert kept["datamodule_hyper_parameters"]["batch_size"] == 1
    with (tmp_path / "log" / "version_0" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(bool(row["train/device/samples_per_sec"]) for row in rows) > 0
    assert {float(row["lr-SGD"]) for row in rows if row["lr-SGD"]} == {0.1}
    assert list((tmp_path / "tensorboard").rglob("events.out.tfevents*"))
    picture = torch.from_numpy(read_photo(tmp_path / "pictures" / "epoch_0002.png")).permute(2, 0, 1)
    torch.testing.assert_close(picture, tiled(samples().tensors[0]), atol=0.5 / 255 + 1e-6, rtol=0)


def test_a_module_loads_from_its_checkpoint_alone(tmp_path):
    module, _ = fit(tmp_path, "model.rate=0.5", "model.widths=[1]")
    loaded = Small.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    assert loaded.settings == module.settings
    assert (loaded.settings.rate, loaded.settings.widths) == (0.5, (1,))


def test_tiles_lie_in_rows():
    pictures = torch.arange(5.0)[:, None, None, None].expand(5, 3, 2, 2)
    expected = torch.tensor([[0.0, 1, 2], [3, 4, 0]]).repeat_interleave(2, 0).repeat_interleave(2, 1)
    assert torch.equal(tiled(pictures), expected.expand(3, 4, 6))
    assert tiled(torch.zeros(4, 3, 5, 10)).shape == (3, 10, 20)
