"""Each baseline differs from the brief training of ours in what its name says, and in nothing else."""

from pathlib import Path

import pytest

from coarse.face_model import load_face_model
from gcnface.cli.train import prepared
from gcnface.training.baselines import BRIEF, SETTINGS, baseline_training
from gcnface.training.configuration import plain
from refine.baselines import BASELINES
from refine.network import TextureRefiner


def training(name):
    return baseline_training(name, Path("faces"), Path("heads"), Path("work"))


def test_every_baseline_has_a_training():
    assert set(SETTINGS) == set(BASELINES)
    assert len({training(name)["trainer"]["default_root_dir"] for name in BASELINES}) == len(BASELINES)


@pytest.mark.parametrize("name", BASELINES)
def test_all_see_the_same_faces(name):
    found, base = training(name), training("equal")
    assert found["data"] == base["data"]
    assert found["trainer"] | {"default_root_dir": ""} == base["trainer"] | {"default_root_dir": ""}
    assert base["model"] == plain(BRIEF)
    assert (found["model"] == base["model"]) == (name == "equal")


def test_a_baseline_is_a_configuration_of_the_command(tmp_path):
    words = training("no_pixel")
    words["trainer"]["default_root_dir"] = str(tmp_path)
    run = prepared("refiner", words)
    assert run.model.settings == SETTINGS["no_pixel"]
    assert run.datamodule.settings.observations == Path("work/observations")


@pytest.mark.parametrize(("name", "size"), [("image", 0.03), ("dense", 0.03)])
def test_networks_in_place_of_the_graph_have_its_number_of_parameters(name, size):
    model = load_face_model()
    counts = [
        sum(p.numel() for p in TextureRefiner.from_face_model(model, settings.network).parameters())
        for settings in (SETTINGS[name], BRIEF)
    ]
    assert counts[0] == pytest.approx(counts[1], rel=size)
