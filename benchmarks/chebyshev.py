"""Time of the Chebyshev layer against torch-geometric's ChebConv: `python -m benchmarks.chebyshev [--help]`.

First one layer on a torus, then a training step of the shipped graph U-Net (forward, loss, backward, on two faces)
against the identical network whose layers are torch-geometric's. Both numbers of a line come from one run.
"""

from __future__ import annotations

import argparse
import copy
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.timing import milliseconds
from coarse.face_model import load_face_model
from coarse.levels import rcm_order
from refine.chebyshev import ChebyshevConv
from refine.chebyshev_reference import ChebyshevConvReference
from refine.graph import scaled_laplacian
from refine.sparse import SparseOperator
from refine.stored import load_refiner
from refine.unet import GraphUNet


class Comparison(NamedTuple):
    """Milliseconds (median and least) of an action with either layers, ours first."""

    name: str
    fast: tuple[float, float]
    plain: tuple[float, float]

    def line(self) -> str:
        """A row of the table."""
        ours, reference = (f"{median:.1f} ({least:.1f})" for median, least in (self.fast, self.plain))
        return f"{self.name:20}{ours:>18}{reference:>18}{self.plain[0] / self.fast[0]:>14.1f}"


class Agreement(NamedTuple):
    """Largest relative difference of what either layers give."""

    values: float
    gradients: float

    def line(self) -> str:
        """What is printed."""
        return f"largest relative difference: values {self.values:.1e}, gradients {self.gradients:.1e}"


def closed_grid(vertex_count: int) -> np.ndarray:
    """Faces of a triangulated torus of about `vertex_count` vertices, numbered by reverse Cuthill-McKee."""
    side = max(round(vertex_count**0.5), 3)
    a = np.arange(side * side).reshape(side, side)
    b, c = np.roll(a, -1, 0), np.roll(a, -1, 1)
    d = np.roll(b, -1, 1)
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([c, b, d], -1).reshape(-1, 3)])
    return np.argsort(rcm_order(faces, side * side))[faces]


def compare(
    vertex_count: int = 35_000, channels: int = 32, order: int = 6, repeats: int = 15
) -> tuple[list[Comparison], Agreement]:
    """Time both layers with the same weights on the same mesh."""
    faces = closed_grid(vertex_count)
    count = int(faces.max()) + 1
    operator = SparseOperator(scaled_laplacian(faces, count), symmetric=True)
    torch.manual_seed(0)
    fast = ChebyshevConv(channels, channels, order, operator)
    plain = ChebyshevConvReference(channels, channels, order, operator)
    plain.load_state_dict(fast.state_dict())
    x, gradient = torch.randn(1, count, channels, requires_grad=True), torch.randn(1, count, channels)

    def forward(layer: ChebyshevConv) -> Tensor:
        with torch.no_grad():
            return layer(x)

    def both(layer: ChebyshevConv) -> list[Tensor]:
        return list(torch.autograd.grad(layer(x), [x, layer.weight], gradient))

    actions = [lambda: forward(fast), lambda: both(fast), lambda: forward(plain), lambda: both(plain)]
    times = milliseconds(actions, repeats)
    apart = [_relative(a, b) for a, b in zip(both(fast), both(plain), strict=True)]
    rows = [Comparison("forward", times[0], times[2]), Comparison("forward + backward", times[1], times[3])]
    return rows, Agreement(_relative(forward(fast), forward(plain)), max(apart))


def with_plain_layers(network: nn.Module) -> nn.Module:
    """A copy whose Chebyshev layers are torch-geometric's, with the same weights."""
    twin = copy.deepcopy(network)
    for name, module in list(twin.named_modules()):
        if isinstance(module, ChebyshevConv):
            order, inputs, outputs = module.weight.shape
            plain = ChebyshevConvReference(inputs, outputs, order, module.laplacian, bias=module.bias is not None)
            plain.load_state_dict(module.state_dict())
            above, _, last = name.rpartition(".")
            setattr(twin.get_submodule(above), last, plain)
    return twin


def compare_step(batch: int = 2, repeats: int = 3) -> tuple[Comparison, Agreement]:
    """A training step of the shipped graph U-Net on random features, with either layers in turns."""
    fast = load_refiner(load_face_model()).completion
    assert isinstance(fast, GraphUNet)
    plain = with_plain_layers(fast.requires_grad_(True))
    torch.manual_seed(0)
    features = torch.randn(batch, fast.pyramid.vertex_counts[0], fast.down[0].first.weight.shape[1])
    embedding = nn.functional.normalize(torch.randn(batch, fast.config.embedding_size), dim=1)
    target = torch.rand(batch, features.shape[1], fast.head.weight.shape[2])

    def step(network: nn.Module) -> Tensor:
        network.zero_grad(set_to_none=True)
        answer = network(features, embedding)
        (answer - target).abs().mean().backward()
        return answer.detach()

    times = milliseconds([lambda: step(fast), lambda: step(plain)], repeats)
    values = _relative(step(fast), step(plain))
    pairs = zip(fast.parameters(), plain.parameters(), strict=True)
    gradients = max(_relative(a.grad, b.grad) for a, b in pairs if a.grad is not None and b.grad is not None)
    return Comparison("training step", times[0], times[1]), Agreement(values, gradients)


def _relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vertices", type=int, default=35_000)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--order", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--steps", type=int, default=3, help="timed training steps, 0 for none")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows, agreement = compare(arguments.vertices, arguments.channels, arguments.order, arguments.repeats)
    print(
        f"{arguments.vertices} vertices, {arguments.channels} channels, K = {arguments.order}, "
        f"{arguments.threads} threads; median (least) ms of {arguments.repeats}"
    )
    print(f"{'':20}{'ours':>18}{'ChebConv':>18}{'times faster':>14}")
    print(*(row.line() for row in rows), agreement.line(), sep="\n")
    if arguments.steps:
        print(*(found.line() for found in compare_step(repeats=arguments.steps)), sep="\n")


if __name__ == "__main__":
    main()
