"""Each baseline differs from the brief training of ours in what its name says, and in nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from coarse.face_model import load_face_model
from gcnface.training.baselines import CHANGES, baseline_training, brief
from refine.baselines import BASELINES
from refine.network import TextureRefiner

BASE = brief(Path("faces"), Path("heads"), Path("work"))


def test_every_baseline_has_a_training():
    assert set(CHANGES) == set(BASELINES)
    assert len({str(baseline_training(name, BASE).run.output) for name in BASELINES}) == len(BASELINES)


@pytest.mark.parametrize("name", BASELINES)
def test_all_see_the_same_faces(name):
    found = baseline_training(name, BASE)
    for field in ("data", "heads", "observations", "faces_an_epoch", "batch_size"):
        assert getattr(found, field) == getattr(BASE, field)
    assert found.run == replace(BASE.run, output=found.run.output)
    if name != "equal":
        assert replace(found, run=BASE.run) != BASE


@pytest.mark.parametrize(("name", "size"), [("image", 0.03), ("dense", 0.03)])
def test_networks_in_place_of_the_graph_have_its_number_of_parameters(name, size):
    model = load_face_model()
    counts = [
        sum(p.numel() for p in TextureRefiner.from_face_model(model, t.network).parameters())
        for t in (baseline_training(name, BASE), BASE)
    ]
    assert counts[0] == pytest.approx(counts[1], rel=size)
