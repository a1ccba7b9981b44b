"""Checkpoints that can be resumed from: whole files, of plain values and finite tensors alone."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from gcnface.errors import DivergedError, GcnfaceError, OutputError, WeightsError

LAST = "last.ckpt"
"""Name of the checkpoint of the last epoch's end, in the folder of the run."""

_LEAVES = (type(None), bool, int, float, str, bytes, Tensor, nn.Parameter, torch.Size, torch.dtype, torch.device)
_CONTAINERS = (dict, OrderedDict, list, tuple, set)
_PARTS = ("state_dict", "optimizer_states", "lr_schedulers", "loops", "epoch", "global_step")
"""What a checkpoint of a training holds at least."""
_LEARNED = ("state_dict", "optimizer_states", "current_model_state")
"""What must be finite in it; the last is there where the first holds averaged weights."""

_ANEW = "delete it, or choose another trainer.default_root_dir, and the run starts anew"


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that appear whole or not at all, and of which none is written that could not be gone on from."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write beside the file, then rename; a kill at any moment leaves the file before, or this one.

        Raises:
            DivergedError: a weight, or what the optimiser keeps of it, is not finite.
            OutputError: the file cannot be written.
            TypeError: something in the checkpoint is no plain value.
        """
        check_plain(checkpoint)
        for group in _LEARNED:
            check_finite(checkpoint.get(group, {}), f"after {checkpoint['global_step']} steps")
        path = Path(path)
        part = path.with_name(f".{path.name}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except (OSError, RuntimeError) as error:  # torch's writer turns the system's error into its own
            remedy = "choose another trainer.default_root_dir"
            raise OutputError(path, f"cannot be written ({error})", remedy) from error
        finally:
            part.unlink(missing_ok=True)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """As `read_checkpoint`, wherever the tensors shall lie."""
        return read_checkpoint(Path(path), map_location=map_location or (lambda storage, location: storage))


def read_checkpoint(path: Path, **options: Any) -> dict[str, Any]:
    """Load a checkpoint of a training; nothing in it is executed.

    Args:
        path: of the file.
        options: of `torch.load`.

    Raises:
        WeightsError: the file is missing, damaged, or no checkpoint of a training.
    """
    try:
        checkpoint = torch.load(path, weights_only=True, **options)
    except FileNotFoundError as error:
        raise WeightsError(path, "is missing", "name a checkpoint that exists") from error
    except pickle.UnpicklingError as error:
        raise WeightsError(path, "is no checkpoint, or holds more than tensors and plain values", _ANEW) from error
    except Exception as error:  # bytes of any kind make the reader stumble in any way
        raise WeightsError(path, f"is damaged ({type(error).__name__})", _ANEW) from error
    if not isinstance(checkpoint, dict) or any(part not in checkpoint for part in _PARTS):
        raise WeightsError(path, "is no checkpoint of a training", _ANEW)
    return checkpoint


def check_resumable(module: nn.Module, path: Path, epochs: int | None) -> None:
    """Whether a run of so many epochs can go on from a checkpoint; Lightning tells it late or in many lines.

    Args:
        module: to be trained.
        path: of the checkpoint.
        epochs: as the Trainer's ``max_epochs``, None and -1 for no limit.

    Raises:
        GcnfaceError: more epochs than these are already over.
        WeightsError: the file cannot be read, or is of another network.
    """
    checkpoint = read_checkpoint(path, mmap=True, map_location="cpu")
    found, own = checkpoint["state_dict"], module.state_dict()
    differing = found.keys() ^ own.keys()
    differing |= {name for name in found.keys() & own.keys() if found[name].shape != own[name].shape}
    if differing:
        what = f"is of another configuration ({sorted(differing)[0]} differs)"
        remedy = "choose another trainer.default_root_dir, or give the configuration it was begun with"
        raise WeightsError(path, what, remedy)
    over = int(checkpoint["epoch"]) + 1
    if over > (epochs or -1) >= 0:
        what = f"{path}: {over} epochs are over, trainer.max_epochs is {epochs}"
        raise GcnfaceError(f"{what}; raise it or choose another trainer.default_root_dir")


def check_plain(values: Any) -> None:
    """Whether `torch.load` with ``weights_only=True`` would give `values` back.

    Raises:
        TypeError: it would not; the part that is to blame is named.
    """
    for name, leaf in _leaves(values, ""):
        if type(leaf) not in _LEAVES:
            kind = f"{type(leaf).__module__}.{type(leaf).__qualname__}"
            raise TypeError(f"{name} is a {kind}; a checkpoint holds plain values and tensors alone")


def check_finite(values: Any, when: str) -> None:
    """Whether all numbers of all tensors in `values` are finite.

    Args:
        values: plain containers of tensors.
        when: for the message, "after 20 steps".

    Raises:
        DivergedError: one is not.
    """
    for name, leaf in _leaves(values, ""):
        if isinstance(leaf, Tensor) and leaf.is_floating_point() and not leaf.isfinite().all():
            raise diverged(f"{name} is", when)


def diverged(what: str, when: str) -> DivergedError:
    """The error that stops a run.

    Args:
        what: with its verb, "the loss is".
        when: "in step 20".
    """
    remedy = "start anew with a lower learning_rate (and ckpt_path=null or another trainer.default_root_dir)"
    return DivergedError(f"{what} no longer finite {when}, so no weights were written; {remedy}")


def _leaves(values: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Everything inside plain containers, with dotted names; a container of another kind counts as a leaf."""
    if type(values) not in _CONTAINERS:
        yield name, values
        return
    pairs = values.items() if isinstance(values, Mapping) else enumerate(values)
    for key, value in pairs:
        yield from _leaves(value, f"{name}.{key}" if name else str(key))
        if type(key) not in _LEAVES:
            yield f"the key {name}.{key}", key
