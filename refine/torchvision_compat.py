"""Let ``import torchvision`` succeed where its compiled library does not load.

The torchvision wheel of PyPI is built for CUDA. Beside a CPU-only torch its library ``_C`` cannot load, and the import
ends with "operator torchvision::nms does not exist"; whatever imports torchvision (facenet-pytorch, torchmetrics and
through it lightning) ends the same way. Two operators in plain torch, defined before the first import, cure it;
``torchvision.ops.nms`` and ``batched_nms`` then use them. Other compiled operators (``roi_align``) stay absent.

Some versions of torchvision import torch's compiler for one question that ``roi_align`` may ask of it: measured, 1.1 s
of the 1.3 s that the first import takes, of some 5 s from start to result. That import is put off until the question is
asked, unless other threads are running, which might want the compiler just then.
"""

import importlib
import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

_BLOCK = 1024
_library: torch.library.Library | None = None


def ensure_torchvision() -> None:
    """Import torchvision, mended where that is needed, and without torch's compiler.

    Call it before anything that imports torchvision. Does nothing where torchvision is not installed, nor on a second
    call.
    """
    if "torchvision.ops.boxes" in sys.modules or importlib.util.find_spec("torchvision") is None:
        return
    with mended(), _compiler_put_off():
        importlib.import_module("torchvision.ops.boxes")


@contextmanager
def mended() -> Iterator[None]:
    """Around the first import of torchvision: what makes it succeed where its compiled library does not load.

    Before it ``torchvision::nms`` and ``torchvision::qnms`` are defined, after it the check is lifted by which
    ``torchvision.ops.nms`` refuses to run without that library.
    """
    compiled = _load_compiled_library()
    if not compiled and not has_nms_operator():
        _define_operators()
    yield
    if not compiled:
        importlib.import_module("torchvision.ops.boxes")._assert_has_ops = _accept  # type: ignore[attr-defined]


@contextmanager
def _compiler_put_off() -> Iterator[None]:
    """Within the block `torch._dynamo.utils` holds one function, which imports the real one when it is called."""
    if "torch._dynamo" in sys.modules or threading.active_count() > 1:
        yield
        return

    def is_compile_supported(device_type: str) -> bool:
        return bool(importlib.import_module("torch._dynamo.utils").is_compile_supported(device_type))

    package, utils = ModuleType("torch._dynamo"), ModuleType("torch._dynamo.utils")
    utils.is_compile_supported = is_compile_supported  # type: ignore[attr-defined]
    package.utils = utils  # type: ignore[attr-defined]
    stand_ins = {module.__name__: module for module in (package, utils)}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, module in stand_ins.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def has_nms_operator() -> bool:
    """Whether the operator ``torchvision::nms`` is registered with torch."""
    return hasattr(torch.ops.torchvision, "nms")


def greedy_nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Non-maximum suppression in plain torch, equal to torchvision's operator.

    Boxes are taken in blocks of falling score. Within a block the rule "a box stays when no staying box above it
    overlaps it" is applied to all boxes at once until nothing changes, which ends in the greedy answer.

    Args:
        boxes: (N, 4) x0, y0, x1, y1.
        scores: (N,).
        iou_threshold: a box goes when its IoU with a kept, better box is larger than this.

    Returns:
        (M,) int64 indices of the kept boxes, by falling score.
    """
    from torchvision.ops.boxes import box_iou

    order = scores.argsort(descending=True, stable=True)
    ranked = boxes[order].float()
    kept_parts: list[Tensor] = []
    kept_boxes = ranked[:0]
    for start in range(0, len(order), _BLOCK):
        block = ranked[start : start + _BLOCK]
        free = ~(box_iou(kept_boxes, block) > iou_threshold).any(0)
        beats = (box_iou(block, block) > iou_threshold).triu(1)
        keep = free
        while True:
            settled = free & ~(beats & keep[:, None]).any(0)
            if torch.equal(settled, keep):
                break
            keep = settled
        kept_parts.append(order[start : start + _BLOCK][keep])
        kept_boxes = torch.cat([kept_boxes, block[keep]])
    return torch.cat(kept_parts) if kept_parts else order


def _quantized_nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """`greedy_nms` of quantised boxes and scores: both are dequantised first."""
    return greedy_nms(boxes.dequantize(), scores.dequantize(), iou_threshold)


def _accept() -> None:
    """Stands in for torchvision's check: the one operator that ``torchvision.ops.boxes`` needs exists."""


def _load_compiled_library() -> bool:
    """Whether torchvision's own library loads and brings the operator; true as well where torchvision is absent."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return True
    folder = Path(spec.origin).parent
    for path in (*folder.glob("_C*.so"), *folder.glob("_C*.pyd")):
        try:
            torch.ops.load_library(str(path))
        except (ImportError, OSError):
            continue
        if has_nms_operator():
            return True
    return False


def _define_operators() -> None:
    """Register both operators; the library object must live as long as they are to exist."""
    global _library
    _library = torch.library.Library("torchvision", "DEF")
    for name, function in (("nms", greedy_nms), ("qnms", _quantized_nms)):
        _library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _library.impl(name, function, "CompositeExplicitAutograd")
