"""Devices that are not there: one line, before a photo is read or a network loaded, wherever a device can be named."""

from pathlib import Path

import numpy as np
import pytest
import torch

import gcnface
from gcnface import cli, pipeline
from gcnface.dense import aligner as dense
from gcnface.dense import flattener as flattening
from gcnface.dense.aligner import DenseAligner
from gcnface.dense.flattener import Flattener
from gcnface.errors import DeviceError
from gcnface.options import ReconstructionOptions
from gcnface.photo.mtcnn import MtcnnDetector
from gcnface.pipeline import Reconstructor

ABSENT = ("cuda:7", "gpu", "mps", "cuda")


@pytest.fixture(autouse=True)
def cpu_only(monkeypatch):
    """No accelerator, and nothing that may be loaded or read."""

    def never(*arguments, **options):
        raise AssertionError("too late")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for module in (pipeline, dense, flattening):
        for name in ("shipped_model", "load_face_model", "load_parser", "make_detector", "photo_and_name"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, never)
    monkeypatch.setattr("gcnface.batch.loop.read_photo", never)
    monkeypatch.setattr("gcnface.io.images.read_photo", never)


@pytest.mark.parametrize("device", ABSENT)
@pytest.mark.parametrize(
    "use",
    [
        lambda device: ReconstructionOptions(device=device),
        lambda device: gcnface.reconstruct("missing.jpg", device=device),
        lambda device: gcnface.reconstruct_person(["missing.jpg"], device=device),
        lambda device: gcnface.align("missing.jpg", device=device),
        lambda device: gcnface.flatten(np.zeros((8, 8, 3), np.uint8), device=device),
        lambda device: Reconstructor(ReconstructionOptions(device=device)),
        DenseAligner,
        Flattener,
        lambda device: MtcnnDetector(device=device),
    ],
)
def test_python_says_which_there_are(use, device):
    with pytest.raises(DeviceError, match=rf"^device '{device}' .*; this machine has: cpu$"):
        use(device)


@pytest.mark.parametrize("device", ["cuda:7", "mps", "cuda"])
@pytest.mark.parametrize("command", ["refine", "refine --same-person", "align", "flatten", "evaluate"])
def test_commands_end_with_one_line(tmp_path, capsys, command, device):
    photo = Path(__file__).parents[1] / "data" / "face.jpg"
    words = [*command.split(), str(photo), "-o", str(tmp_path / "out"), "--device", device]
    assert cli.main(words) == 1
    out, err = capsys.readouterr()
    assert err.startswith(f"gcnface: device '{device}' is not there")
    assert err.endswith("; this machine has: cpu\n")
    assert err.count("\n") == 1
    assert not out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["refine", "align", "flatten", "evaluate"])
def test_a_word_that_is_no_device_is_wrong_usage(capsys, command):
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "a.jpg", "-o", "out", "--device", "gpu"])
    assert caught.value.code == 2
    assert "device 'gpu' is not known, did you mean cuda?; expected cpu, cuda, cuda:1 or mps" in capsys.readouterr().err
