"""What a caller has set in torch, NumPy or warnings changes no result; networks loaded meanwhile serve later calls."""

import dataclasses
import subprocess
import sys
import threading
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

import gcnface
from gcnface import api
from gcnface.dense import aligner as dense
from gcnface.system.isolation import plain_torch

PHOTO = Path(__file__).parents[2] / "data" / "face.jpg"
TIMELESS = {"timings", "provenance"}


@contextmanager
def default_type(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def default_device(name):
    torch.set_default_device(name)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def strict():
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        yield


@contextmanager
def everything():
    """Any one of these alone breaks the pipeline, unless it is kept out."""
    with default_type(torch.float64), default_device("meta"), torch.autocast("cpu", torch.bfloat16):
        with torch.inference_mode(), np.errstate(all="raise"):
            yield


SITUATIONS = {
    "deterministic": deterministic,
    "a default device that is not there": lambda: default_device("cuda" if not torch.cuda.is_available() else "mps"),
    "errors from numpy and warnings": strict,
}


def forget_networks():
    for loader in (api.load_reconstructor, api.load_person_reconstructor, dense.load_aligner):
        loader.cache_clear()


def arrays(record):
    """All arrays and numbers in a record, by name."""
    if isinstance(record, np.ndarray | float | int):
        return {"": np.asarray(record)}
    if not dataclasses.is_dataclass(record):
        return {}
    found = {}
    for field in dataclasses.fields(record):
        if field.name not in TIMELESS:
            found |= {f"{field.name}.{k}": v for k, v in arrays(getattr(record, field.name)).items()}
    return found


def results(folder):
    """One call of everything public, in small, by name."""
    face = gcnface.reconstruct(PHOTO, texture_size=64)
    face.save(folder, "face", ("glb", "npz", "overlay"))
    loaded = gcnface.load(folder / "face.npz")
    edited = loaded.rotated(yaw=20, light_follows=True).relit("left").with_expression({"jawOpen": 0.5})
    aligned = gcnface.align(PHOTO, texture_size=64)
    records = {
        "reconstruct": face,
        "load": loaded,
        "edited": edited,
        "drawing": edited.draw(64),
        "align": aligned,
        "aligned mesh": aligned.mesh,
        "flatten": gcnface.flatten(PHOTO, size=32),
    }
    files = {name: np.frombuffer((folder / name).read_bytes(), np.uint8) for name in ("face.glb", "face_overlay.png")}
    return {f"{name}.{k}": v for name, record in records.items() for k, v in arrays(record).items()} | files


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        assert np.array_equal(found[name], value, equal_nan=value.dtype.kind == "f"), name


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return results(tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("situation", SITUATIONS)
def test_results_are_the_same(situation, expected, tmp_path):
    with SITUATIONS[situation]():
        found = results(tmp_path)
    assert_equal(found, expected)


def test_networks_loaded_in_any_situation_serve_later_calls(expected, tmp_path):
    """Above they were there already; here they are loaded within, and calls that need gradients follow."""
    forget_networks()
    try:
        with everything():
            found = results(tmp_path)
        assert_equal(found, expected)
        gcnface.reconstruct(PHOTO, texture_size=64, adapt=1)
        gcnface.reconstruct_person([PHOTO], texture_size=64)
    finally:
        forget_networks()


def test_the_caller_s_settings_come_back():
    with default_type(torch.float64), default_device("meta"), torch.autocast("cpu"), torch.inference_mode():
        with np.errstate(all="raise"):
            with plain_torch():
                assert torch.zeros(1).dtype == torch.float32
                assert torch.zeros(1).device.type == "cpu"
                assert not torch.is_autocast_enabled("cpu")
                assert torch.is_grad_enabled()
                assert not torch.is_inference_mode_enabled()
                assert np.geterr()["under"] == "ignore"
            assert torch.zeros(1).dtype == torch.float64
            assert torch.zeros(1).device.type == "meta"
            assert torch.is_autocast_enabled("cpu")
            assert torch.is_inference_mode_enabled()
            assert np.geterr()["under"] == "raise"


def test_the_last_of_several_threads_puts_the_default_type_back():
    """The first may end before the second, which still needs float32."""
    entered, leave = threading.Event(), threading.Event()

    def first():
        with plain_torch():
            entered.set()
            leave.wait(10)

    with default_type(torch.float64):
        thread = threading.Thread(target=first)
        thread.start()
        assert entered.wait(10)
        with plain_torch():
            leave.set()
            thread.join()
            assert torch.get_default_dtype() == torch.float32
        assert torch.get_default_dtype() == torch.float64


def test_after_an_error_as_well():
    with default_type(torch.float64):
        with pytest.raises(gcnface.PhotoError):
            gcnface.reconstruct("nowhere.jpg")
        with pytest.raises(ZeroDivisionError), plain_torch():
            _ = 1 / 0
        assert torch.get_default_dtype() == torch.float64


def test_first_import_in_an_odd_situation():
    """Constants that modules make when they are imported are plain too."""
    code = (
        "import torch\ntorch.set_default_dtype(torch.float64)\ntorch.set_default_device('meta')\n"
        "import gcnface.pipeline, gcnface.dense.aligner, gcnface.dense.flattener\n"
        "from gcnface.result.lights import LIGHTS\n"
        "assert all(light.lighting.dtype == 'float32' and light.lighting.any() for light in LIGHTS.values())\n"
    )
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
