"""torchvision imports beside any torch, and the operator that stands in for its own gives the same boxes."""

import subprocess
import sys

import pytest
import torch

from refine.torchvision_compat import ensure_torchvision, greedy_nms, has_nms_operator


def boxes_and_scores(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    low = 100 * torch.rand(count, 2, generator=generator)
    size = 5 + 30 * torch.rand(count, 2, generator=generator)
    return torch.cat([low, low + size], 1), torch.rand(count, generator=generator)


def plain_nms(boxes, scores, threshold):
    """The definition: best first, whatever overlaps a kept one is dropped."""
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    kept = []
    for index in scores.argsort(descending=True).tolist():
        if kept:
            others = boxes[kept]
            common = torch.minimum(boxes[index, 2:], others[:, 2:]) - torch.maximum(boxes[index, :2], others[:, :2])
            common = common.clamp(min=0).prod(1)
            if ((common / (area[index] + area[kept] - common)) > threshold).any():
                continue
        kept.append(index)
    return torch.tensor(kept)


@pytest.mark.parametrize("count", [1, 40, 1500])
@pytest.mark.parametrize("threshold", [0.3, 0.7])
def test_equals_the_definition(count, threshold):
    boxes, scores = boxes_and_scores(count)
    assert torch.equal(greedy_nms(boxes, scores, threshold), plain_nms(boxes, scores, threshold))


def test_a_chain_of_overlaps_keeps_every_other_box():
    """The middle box goes because of the first, so the third, which only the middle overlaps, stays."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]])
    assert greedy_nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.3).tolist() == [0, 2]


def test_no_boxes():
    assert greedy_nms(torch.zeros(0, 4), torch.zeros(0), 0.5).shape == (0,)


def test_torchvision_imports_and_suppresses():
    ensure_torchvision()
    ensure_torchvision()
    from torchvision.ops import batched_nms, nms

    assert has_nms_operator()
    boxes, scores = boxes_and_scores(60)
    assert torch.equal(nms(boxes, scores, 0.4), plain_nms(boxes, scores, 0.4))
    classes = torch.arange(60) % 2
    kept = batched_nms(boxes, scores, classes, 0.4)
    for index in (0, 1):
        rows = torch.nonzero(classes == index)[:, 0]
        expected = rows[plain_nms(boxes[rows], scores[rows], 0.4)]
        assert set(kept[classes[kept] == index].tolist()) == set(expected.tolist())


@pytest.mark.slow
@pytest.mark.parametrize("first", ["gcnface", "refine"])
def test_the_compiler_is_left_alone_and_there_when_asked_for(first):
    """With and without the finder of gcnface."""
    code = (
        f"import sys, {first}\nfrom refine.torchvision_compat import ensure_torchvision\nensure_torchvision()\n"
        "from torchvision.ops import roi_align\n"
        "assert not [name for name in sys.modules if name.startswith('torch._dynamo')]\n"
        "from torchvision.ops.roi_align import is_compile_supported\nimport torch._dynamo.utils as real\n"
        "assert is_compile_supported('cpu') == real.is_compile_supported('cpu') and real.__file__\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


IMPORTERS = ("lightning", "facenet_pytorch")
"""The first imports torchvision through torchmetrics."""
WORKS = (
    "import torch\nfrom torchvision.ops import nms\n"
    "assert nms(torch.tensor([[0.0, 0, 2, 2]]), torch.ones(1), 0.5).tolist() == [0]\n"
)


def python(code):
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("package", IMPORTERS)
def test_any_import_after_gcnface(package):
    pytest.importorskip(package)
    python(f"import sys, gcnface\nassert 'torch' not in sys.modules\nimport {package}\n{WORKS}")


@pytest.mark.slow
@pytest.mark.parametrize("package", IMPORTERS)
def test_an_import_that_failed_before_gcnface_can_be_repeated(package):
    """Where it did not fail, nothing had to be repeated; what it leaves behind is whole either way."""
    pytest.importorskip(package)
    python(
        f"try:\n    import {package}\nexcept Exception:\n    pass\n"
        f"import gcnface, sys\nimport {package}\n{WORKS}"
        f"for name in [name for name in sys.modules if name.startswith('{package}.')]:\n"
        "    parent, _, child = name.rpartition('.')\n"
        "    assert parent in sys.modules, name\n"
        f"if '{package}' == 'lightning':\n    {package}.pytorch.utilities, {package}.fabric.utilities\n"
    )


def test_what_is_imported_already_is_left_alone():
    python(
        "import gcnface.system.compat as compat\nimport sys, torchvision\n"
        "compat.watch_torchvision()\nassert not [f for f in sys.meta_path if type(f).__module__ == compat.__name__]\n"
        "import torchvision as again\nassert again is torchvision\n"
    )


def test_import_of_gcnface_is_quick():
    """Measured without Python's own start; the best of three, since the machine may be busy."""
    code = "import time\nbegin = time.perf_counter()\nimport gcnface\nprint(time.perf_counter() - begin)"
    seconds = [float(subprocess.run([sys.executable, "-c", code], capture_output=True).stdout) for _ in range(3)]
    assert min(seconds) < 0.1


@pytest.mark.slow
def test_other_threads_may_want_the_compiler_meanwhile():
    python(
        "import gcnface, threading, torch\nstop = threading.Event()\nthread = threading.Thread(target=stop.wait)\n"
        "thread.start()\nfrom refine.torchvision_compat import ensure_torchvision\nensure_torchvision()\nstop.set()\n"
        "import sys\nimport torchvision.ops.roi_align\n"
        "module = sys.modules.get('torch._dynamo')\nassert module is None or module.__file__\n"
        "import torch._dynamo.eval_frame\n"
    )
