"""Devices by name: what is there is taken, what is not is one line that says what is."""

import subprocess
import sys

import pytest
import torch

from render import devices
from render.devices import check_device, devices_here, is_device_name, resolve_device, unknown_device
from render.errors import DeviceError


@pytest.fixture
def two_gpus(monkeypatch):
    """A machine with two of them, whose tensors lie on the CPU all the same."""
    zeros = torch.zeros
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", lambda *size, device: zeros(*size))


@pytest.fixture
def cpu_only(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def message(device):
    with pytest.raises(DeviceError) as caught:
        resolve_device(device)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_cpu_is_always_there(cpu_only):
    assert resolve_device("cpu") == resolve_device(torch.device("cpu")) == torch.device("cpu")
    assert devices_here() == ["cpu"]


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7", "mps"])
def test_what_is_not_there_is_refused(cpu_only, name):
    text = message(name)
    assert text.startswith(f"device '{name}' is not there")
    assert text.endswith("; this machine has: cpu")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:1", "mps"])
def test_what_is_there_is_taken(two_gpus, name):
    assert resolve_device(name) == torch.device(name)


def test_all_that_are_there_are_named(two_gpus):
    assert message("cuda:7").endswith("; this machine has: cpu, cuda:0, cuda:1, mps")


@pytest.mark.parametrize("name", ["gpu", "GPU", "gpu:0", "Cuda", "cuda:", "cuda:x", "cuda:-1", "cuda:0 ", "cuda:１"])
def test_slips_are_answered_with_the_right_word(cpu_only, name):
    text = message(name)
    assert "is not known, did you mean cuda?; expected cpu, cuda, cuda:1 or mps; this machine has: cpu" in text
    assert not is_device_name(name)


@pytest.mark.parametrize("name", ["", "tpu", "meta", "cpu:9", "xpu", "\x1b[31mcpu", "c\npu", "0"])
def test_other_words_are_refused(cpu_only, name):
    assert "is not known; expected" in message(name)
    assert unknown_device(name).isprintable()


def test_a_device_that_cannot_be_used_is_refused(two_gpus, monkeypatch):
    def fail(*size, device):
        raise RuntimeError("CUDA error: no kernel image is available\nCompile with TORCH_USE_CUDA_DSA")

    monkeypatch.setattr(torch, "zeros", fail)
    assert message("cuda:1").startswith("device 'cuda:1' cannot be used (CUDA error: no kernel image is available); ")


def test_asking_for_the_cpu_needs_no_torch():
    code = "import sys; from render.devices import check_device; check_device('cpu'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_checking_is_resolving(cpu_only):
    check_device("cpu")
    with pytest.raises(DeviceError, match="cuda:3"):
        check_device("cuda:3")
    assert devices.EXPECTED in unknown_device("x")
