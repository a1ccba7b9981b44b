"""What all runs share: several processes, early stop, logs, pictures, checkpoints that know their configuration."""

import csv
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gcnface.io.images import read_photo
from gcnface.training.callbacks import batch_size, peak_memory_mib
from gcnface.training.pictures import tiled
from gcnface.training.runs import RunSettings
from tests.gcnface import small_training
from tests.gcnface.small_training import Small, fit, loaders

ROOT = Path(__file__).parents[3]


pytestmark = pytest.mark.usefixtures("quiet_training")


def test_two_processes_do_what_one_does_with_the_whole_batch(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.gcnface.small_training", str(tmp_path / "two"), "2"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    small_training.main(tmp_path / "one", 1)
    shared, alone = (torch.load(tmp_path / name / "last.ckpt", weights_only=False) for name in ("two", "one"))
    assert shared["global_step"] == alone["global_step"] == 1
    torch.manual_seed(0)
    untrained = Small(small_training.Training(RunSettings(tmp_path))).state_dict()
    for name, value in alone["state_dict"].items():
        torch.testing.assert_close(shared["state_dict"][name], value, rtol=1e-5, atol=1e-7)
    assert (alone["state_dict"]["network.0.weight"] - untrained["network.0.weight"]).abs().max() > 1e-4
    assert len(list((tmp_path / "two" / "pictures").iterdir())) == 1
    names = {name.removeprefix("network.") for name in untrained}
    assert load_file(tmp_path / "two" / "weights.safetensors").keys() == names


def test_norms_stay_only_when_asked_to(tmp_path):
    frozen, moving = (
        fit(tmp_path / str(freeze), epochs=2, freeze_norm=freeze, tensorboard=False)[0].network[1]
        for freeze in (True, False)
    )
    assert frozen.num_batches_tracked == 0
    assert torch.equal(frozen.running_mean, torch.zeros(4))
    assert moving.num_batches_tracked == 2
    assert moving.running_mean.abs().min() > 0


def test_early_stop_and_best_checkpoint(tmp_path):
    _, trainer = fit(tmp_path, epochs=9, monitor="valid/figure", patience=2, tensorboard=False, pictures_every=0)
    assert trainer.current_epoch == 3
    assert torch.load(tmp_path / "best.ckpt", weights_only=False)["epoch"] == 0
    assert not (tmp_path / "pictures").exists()


@pytest.mark.parametrize(
    ("settings", "text"), [({"patience": 3}, "monitor"), ({"monitor_mode": "least"}, "min or max")]
)
def test_settings_are_checked(settings, text):
    with pytest.raises(ValueError, match=text):
        RunSettings(Path("x"), **settings)


def test_logs_pictures_and_configuration(tmp_path):
    fit(tmp_path, size=4, epochs=2)
    kept = torch.load(tmp_path / "last.ckpt", weights_only=False)["hyper_parameters"]
    assert kept["rate"] == 0.1
    assert kept["widths"] == [4, 8]
    assert kept["run"]["epochs"] == 2
    with (tmp_path / "log" / "version_0" / "metrics.csv").open() as file:
        logged = [row["cost/samples_per_second"] for row in csv.DictReader(file)]
    assert sum(bool(rate) and float(rate) > 0 for rate in logged) == 2
    assert list((tmp_path / "tensorboard").rglob("events.out.tfevents*"))
    picture = torch.from_numpy(read_photo(tmp_path / "pictures" / "epoch_0002.png")).permute(2, 0, 1)
    torch.testing.assert_close(picture, tiled(loaders(8)[1].dataset.tensors[0]), atol=0.5 / 255 + 1e-6, rtol=0)


def test_tiles_lie_in_rows():
    pictures = torch.arange(5.0)[:, None, None, None].expand(5, 3, 2, 2)
    expected = torch.tensor([[0.0, 1, 2], [3, 4, 0]]).repeat_interleave(2, 0).repeat_interleave(2, 1)
    assert torch.equal(tiled(pictures), expected.expand(3, 4, 6))
    assert tiled(torch.zeros(4, 3, 5, 10)).shape == (3, 10, 20)


def test_batches_are_counted():
    @dataclass
    class Record:
        name: str
        image: torch.Tensor

    assert batch_size(torch.zeros(3, 2)) == 3
    assert batch_size(Record("x", torch.zeros(5))) == 5
    assert batch_size({"a": [torch.zeros(7)]}) == 7
    assert batch_size("none") == 0


def test_memory_is_plausible():
    before = peak_memory_mib()
    assert 50 < before < 100_000
    block = torch.ones(64 * 2**18)
    assert peak_memory_mib() >= before
    assert block.sum() == 64 * 2**18
