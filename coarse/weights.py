"""Reading a network's weights from a file."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def half_state(network: nn.Module) -> dict[str, Tensor]:
    """What a file of weights holds: the network's state, its floating-point numbers as float16."""
    return {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in network.state_dict().items()
    }


def load_weights(network: Network, path: Path, what: str) -> Network:
    """Fill a network from float16 or float32 safetensors and put it into evaluation mode.

    Args:
        network: takes the weights, all of them and no others.
        path: of the file.
        what: the weights' name in messages, "regressor weights".

    Raises:
        ValueError: the file is missing or holds other weights.
    """
    from safetensors.torch import load_file

    if not path.is_file():
        raise ValueError(f"{path}: {what} are missing; reinstall the package or train them anew (gcnface train -h)")
    weights = {name: value.float() if value.is_floating_point() else value for name, value in load_file(path).items()}
    try:
        network.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise ValueError(
            f"{path}: {what} do not fit this face model; they are of another network or layout: name the right file or "
            "train them anew (gcnface train -h)"
        ) from error
    return network.eval()
