"""Reading files of weights: one reader for all networks, whatever is wrong with a file is one `WeightsError`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from render.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor, nn

Network = TypeVar("Network", bound="nn.Module")

REMEDY = "name the right file, reinstall the package or train them anew (gcnface train -h)"


def half_state(network: nn.Module) -> dict[str, Tensor]:
    """What a file of weights holds: the network's state, its floating-point numbers as float16."""
    return {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in network.state_dict().items()
    }


@contextmanager
def weights_file(path: Path, what: str, remedy: str = REMEDY) -> Iterator[None]:
    """Around the reading of one file of weights.

    Args:
        path: of the file.
        what: it should hold, in the plural: "regressor weights".
        remedy: what users should do about a file that is not as it should be.

    Raises:
        WeightsError: the file is not there or is no ordinary file, or what is done inside failed.
    """
    try:
        if not path.exists():
            raise WeightsError(path, f"{what} are missing", remedy)
        if not path.is_file():
            raise WeightsError(path, f"is no file of {what}", remedy)
        yield
    except WeightsError:
        raise
    except Exception as error:  # readers fail in many ways on bytes that were not written for them
        raise WeightsError(path, f"cannot be read as {what} ({_reason(error)})", remedy) from error


def _reason(error: Exception) -> str:
    """In few words; of the operating system and of OpenCV without the name of a file."""
    short = getattr(error, "strerror", None) or getattr(error, "err", None) or str(error).partition("\n")[0]
    return short or type(error).__name__


def load_weights(network: Network, path: Path, what: str, remedy: str = REMEDY) -> Network:
    """Fill a network from float16 or float32 safetensors and put it into evaluation mode.

    Args:
        network: takes the weights, all of them and no others.
        path: of the file.
        what: the weights' name in messages, "regressor weights".
        remedy: what users should do about a file that is not as it should be.

    Raises:
        WeightsError: the file is missing, damaged or holds other weights; the network is then as it was.
    """
    from safetensors.torch import load_file

    with weights_file(path, what, remedy):
        return fill(network, load_file(path), path, what, remedy)


def read_metadata(path: Path, what: str, remedy: str = REMEDY) -> dict[str, str]:
    """The notes in a safetensors file, without its weights; raises as `load_weights`."""
    from safetensors import safe_open

    with weights_file(path, what, remedy), safe_open(path, "pt") as file:
        return file.metadata() or {}


def read_state(path: Path, what: str, remedy: str = REMEDY) -> dict[str, Tensor]:
    """The tensors of a ``.pt`` or ``.pth`` file by name, on the CPU; nothing else in it is ever unpickled.

    Raises:
        WeightsError: the file is missing, damaged or holds something else than tensors.
    """
    import torch

    with weights_file(path, what, remedy):
        try:
            state: Any = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # its own words advise to unpickle the file all the same
            raise WeightsError(path, f"is no file of {what}, or a damaged one", remedy) from error
        if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
            raise WeightsError(path, f"holds something else than {what}", remedy)
        return dict(state)


def fill(network: Network, weights: Mapping[str, Tensor], path: Path, what: str, remedy: str = REMEDY) -> Network:
    """Fill a network and put it into evaluation mode.

    Args:
        network: takes the weights, all of them and no others, each of its shape and kind of number, and finite.
        weights: by name, floating-point numbers of any width.
        path: of the file that they are from.
        what: their name in messages.
        remedy: what users should do about a file that is not as it should be.

    Raises:
        WeightsError: they are not the network's; it is then as it was.
    """
    with weights_file(path, what, remedy):
        expected = network.state_dict()
        for difference in _differences(expected, weights):
            other = f"they are of another network or layout: {remedy}"
            raise WeightsError(path, f"{what} do not fit this face model or network ({difference})", other)
        values = {name: value.to(expected[name].dtype) for name, value in weights.items()}
        for name, value in values.items():
            if not value.isfinite().all():
                raise WeightsError(path, f"{what} are damaged: {name} holds numbers that are not finite", remedy)
        network.load_state_dict(values, strict=True)
    return network.eval()


def _differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> Iterator[str]:
    """What keeps found weights from being the expected ones; told by shapes alone, before any number is read."""
    for name in sorted(expected.keys() - found.keys()):
        yield f"{name} is missing"
    for name in sorted(found.keys() - expected.keys()):
        yield f"{name} is unknown"
    for name, value in found.items():
        wanted = expected[name]
        if value.shape != wanted.shape:
            yield f"{name} has shape {tuple(value.shape)}, expected {tuple(wanted.shape)}"
        if value.dtype != wanted.dtype and not (value.is_floating_point() and wanted.is_floating_point()):
            yield f"{name} holds {value.dtype}, expected {wanted.dtype}"
