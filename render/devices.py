"""Devices by the names that users give them: one place that knows which there are and what to say of others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from render.errors import DeviceError, printable

if TYPE_CHECKING:
    import torch

EXPECTED = "cpu, cuda, cuda:1 or mps"
_NAME = re.compile(r"cpu|cuda(:\d{1,3})?|mps", re.ASCII)


def is_device_name(text: str) -> bool:
    """Whether a text names a device, on this machine or on another."""
    return _NAME.fullmatch(text) is not None


def unknown_device(text: str) -> str:
    """What to say of a text that names no device."""
    hint = ", did you mean cuda?" if re.match(r"(?i)gpu|cuda|nvidia", text) else ""
    return f"device {printable(text)!r} is not known{hint}; expected {EXPECTED}"


def devices_here() -> list[str]:
    """The devices that torch finds on this machine, the CPU first."""
    import torch

    names = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    return [*names, "mps"] if torch.backends.mps.is_available() else names


def check_device(device: str | torch.device) -> None:
    """Raise as `resolve_device` does; to ask for the CPU costs no import of torch."""
    if str(device) != "cpu":
        resolve_device(device)


def resolve_device(device: str | torch.device) -> torch.device:
    """The device of a name; it is there and can be used.

    Args:
        device: "cpu", "cuda" (the current one), "cuda:1", "mps".

    Raises:
        DeviceError: the name is not known, or there is no such device, or torch cannot use it; the message says which
            devices there are.
    """
    import torch

    name = str(device)
    if name == "cpu":
        return torch.device(name)
    here = devices_here()
    there = f"this machine has: {', '.join(here)}"
    if not is_device_name(name):
        raise DeviceError(f"{unknown_device(name)}; {there}")
    if name not in here and (name != "cuda" or here[1:2] != ["cuda:0"]):
        built = "" if torch.backends.cuda.is_built() or name == "mps" else " for a torch that was built without CUDA"
        raise DeviceError(f"device {name!r} is not there{built}; {there}")
    found = torch.device(name)
    try:
        torch.zeros(1, device=found)
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise DeviceError(f"device {name!r} cannot be used ({printable(reason)}); {there}") from error
    return found
