"""Fixtures of all tests."""

import pytest
import torch

from render.devices import devices_here


@pytest.fixture(params=devices_here())
def device(request):
    """Every device of this machine in turn, the CPU first."""
    return torch.device(request.param)


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def dtype(request, device):
    """The types that networks and renderer compute in, as far as the device has them."""
    if device.type == "mps" and request.param == torch.float64:
        pytest.skip("MPS has no float64")
    return request.param
