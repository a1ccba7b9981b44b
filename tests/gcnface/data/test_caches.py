"""Caches know what they were made from: other pictures, weights, models or code never meet what was kept."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from gcnface.data import caches
from gcnface.data.caches import RECORD, Cache, fingerprint, fingerprint_of_rows
from gcnface.errors import FileError
from gcnface.training import observations
from gcnface.training.observations import Observations, Pictures, observe

PICTURES = np.random.default_rng(0).integers(0, 255, (7, 288, 288, 3), np.uint8)


@dataclass(frozen=True)
class FakeModel:
    name: str
    mean: np.ndarray
    cage: None = None


@dataclass(frozen=True)
class FakeStage:
    model: FakeModel
    regressor: torch.nn.Module
    fitter: object
    morphable: object


@dataclass(frozen=True)
class FakeLayout:
    total: int = 5


@dataclass(frozen=True)
class FakeMorphable:
    layout: FakeLayout = FakeLayout()


@dataclass(frozen=True)
class FakeObserver:
    stage: FakeStage
    parser: torch.nn.Module
    facenet: torch.nn.Module
    skin_tone: torch.nn.Module


def network(seed):
    torch.manual_seed(seed)
    return torch.nn.Linear(3, 2)


def other(module):
    copy = network(0)
    copy.load_state_dict(module.state_dict())
    copy.bias.data[1] += 1e-6
    return copy


@pytest.fixture
def observer():
    model = FakeModel("small", np.zeros((4, 3), np.float32))
    return FakeObserver(FakeStage(model, network(1), None, FakeMorphable()), network(2), network(3), network(4))


@pytest.fixture
def seen(monkeypatch):
    """Mean colours of the pictures that were looked at, in order; what is kept of each is that colour."""
    looked = []

    def look(index, image, observer, arrays):
        looked.append(round(float(image.mean()), 6))
        for name in ("raw", "shading", "projected", "embedding"):
            arrays[name][index] = image.mean()

    monkeypatch.setattr(observations, "_observe", look)
    return looked


def pictures(*rows):
    return Pictures(PICTURES, np.array(rows))


def test_a_second_call_looks_at_nothing(observer, seen, tmp_path):
    first = observe(pictures(0, 3), observer, tmp_path)
    again = observe(pictures(0, 3), observer, tmp_path)
    assert len(seen) == 2
    for name in ("raw", "shading", "embedding"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert isinstance(again, Observations)
    assert not again.raw.flags.writeable


def test_equal_pictures_in_another_data_set_share(observer, seen, tmp_path):
    observe(pictures(2, 5), observer, tmp_path)
    moved = PICTURES[[5, 1, 2]].copy()
    moved[:, :32] = 0
    observe(Pictures(moved, np.array([2, 0])), observer, tmp_path)
    assert len(seen) == 2, "only the middles of the canvases are looked at"


@pytest.mark.parametrize("rows", [(0, 3, 4), (3, 0), (0, 4), (0,)])
def test_other_rows_are_looked_at_themselves(observer, seen, tmp_path, rows):
    kept = observe(pictures(0, 3), observer, tmp_path)
    found = observe(pictures(*rows), observer, tmp_path)
    assert len(seen) == 2 + len(rows)
    np.testing.assert_allclose(found.raw[:, 0], [PICTURES[r, 32:-32, 32:-32].mean() / 255 for r in rows], rtol=1e-5)
    np.testing.assert_allclose(kept.raw[:, 0], [PICTURES[r, 32:-32, 32:-32].mean() / 255 for r in (0, 3)], rtol=1e-5)
    observe(pictures(0, 3), observer, tmp_path)
    assert len(seen) == 2 + len(rows), "those kept first are still there"


def test_a_pixel_makes_another_picture(observer, seen, tmp_path):
    observe(pictures(0), observer, tmp_path)
    changed = PICTURES.copy()
    changed[0, 100, 100, 1] ^= 1
    observe(Pictures(changed, np.array([0])), observer, tmp_path)
    assert len(seen) == 2


@pytest.mark.parametrize("part", ["parser", "facenet", "skin_tone"])
def test_other_weights_look_anew(observer, seen, tmp_path, part):
    observe(pictures(0), observer, tmp_path)
    observe(pictures(0), replace(observer, **{part: other(getattr(observer, part))}), tmp_path)
    assert len(seen) == 2


@pytest.mark.parametrize("part", ["regressor", "model", "mean", "fitter"])
def test_another_coarse_stage_looks_anew(observer, seen, tmp_path, part):
    stage = observer.stage
    changed = {
        "regressor": {"regressor": other(stage.regressor)},
        "model": {"model": replace(stage.model, name="another")},
        "mean": {"model": replace(stage.model, mean=stage.model.mean + np.float32(1e-6))},
        "fitter": {"fitter": type("Fitter", (), {"settings": FakeLayout()})()},
    }[part]
    observe(pictures(0), observer, tmp_path)
    observe(pictures(0), replace(observer, stage=replace(stage, **changed)), tmp_path)
    assert len(seen) == 2


@pytest.mark.parametrize(("where", "what"), [(observations, "CODE_VERSION"), (caches, "__version__")])
def test_other_code_looks_anew(observer, seen, tmp_path, monkeypatch, where, what):
    observe(pictures(0), observer, tmp_path)
    monkeypatch.setattr(where, what, "next")
    observe(pictures(0), observer, tmp_path)
    assert len(seen) == 2


def test_a_broken_off_run_goes_on(observer, seen, tmp_path, monkeypatch):
    monkeypatch.setattr(observations, "_BLOCK", 2)
    look = observations._observe

    def broken(index, *rest):
        if index == 5:
            raise KeyboardInterrupt
        look(index, *rest)

    monkeypatch.setattr(observations, "_observe", broken)
    with pytest.raises(KeyboardInterrupt):
        observe(pictures(*range(7)), observer, tmp_path)
    assert len(seen) == 5
    assert not list(tmp_path.rglob(RECORD))
    monkeypatch.setattr(observations, "_observe", look)
    found = observe(pictures(*range(7)), observer, tmp_path)
    assert len(seen) == 5 + 3, "four are done; the fifth's block is not"
    np.testing.assert_allclose(found.raw[:, 0], PICTURES[:, 32:-32, 32:-32].mean((1, 2, 3)) / 255, rtol=1e-5)


@pytest.mark.parametrize("damage", ["gone", "short", "other", "record"])
def test_a_damaged_cache_is_made_anew(observer, seen, tmp_path, damage):
    observe(pictures(0, 1), observer, tmp_path)
    raw = next(tmp_path.rglob("raw.npy"))
    if damage == "gone":
        raw.unlink()
    elif damage == "short":
        raw.write_bytes(raw.read_bytes()[:-20])
    elif damage == "other":
        np.save(raw, np.zeros((2, 4), np.float32))
    else:
        (raw.parent / RECORD).write_text("{}")
        (raw.parent / "done.npy").unlink()
    found = observe(pictures(0, 1), observer, tmp_path)
    assert len(seen) == 4
    assert found.raw[1, 0] > 0


def test_fingerprints_tell_contents_apart():
    a = np.arange(6, dtype=np.int32)
    parts = [a, a.astype(np.int64), a.reshape(2, 3), a[::-1], a + 1, "6", 6, 6.0, None, ("6",), ["a", "b"], ["ab"]]
    parts += [np.array(["a", "b"]), FakeLayout(1), FakeMorphable(), torch.zeros(2), network(0), network(1)]
    distinct = {fingerprint(part) for part in parts}
    assert len(distinct) == len(parts) - 1, "names are the same in an array and in a list"
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert fingerprint(a[::2]) == fingerprint(a[::2].copy())
    assert fingerprint(network(3)) == fingerprint(network(3))
    assert fingerprint_of_rows(PICTURES, [1, 2]) != fingerprint_of_rows(PICTURES, [2, 1])
    with pytest.raises(TypeError, match="object"):
        fingerprint(object())


def test_arrays_are_made_once_for_each_thing(tmp_path):
    calls = []

    def make():
        calls.append(1)
        return {"x": np.full(3, len(calls))}

    one, two = (Cache(tmp_path / "kept", "things", {"data": name}) for name in ("one", "two"))
    assert [cache.arrays(make)["x"][0] for cache in (one, two, one, two)] == [1, 2, 1, 2]
    path = next((tmp_path / "kept").glob("things-*.npz"))
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(FileError, match="delete it"):
        [cache.arrays(make) for cache in (one, two)]
