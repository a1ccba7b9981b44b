r"""Chebyshev graph convolution on a fixed mesh, and the residual block made of two of them.

Defferrard et al., "Convolutional neural networks on graphs with fast localized spectral filtering", 2016:

.. math:: y = \sum_{k=0}^{K-1} T_k(\hat L)\, x\, W_k + b, \qquad
          T_0 = 1,\; T_1 = \hat L,\; T_k = 2 \hat L T_{k-1} - T_{k-2}

with the rescaled Laplacian of `refine.graph.scaled_laplacian`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from refine.layout import batch_first, vertex_major
from refine.sparse import SparseOperator, SparseRows
from render.shapes import check_shape

Activation = Literal["relu", "elu"]
TRUNCATED_DEVIATION = 0.8796256610342398
"""Standard deviation of a unit normal cut at two: dividing by it restores the variance asked for (as Keras does)."""

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu, "elu": nn.functional.elu}


def check_activation(activation: str) -> None:
    """Raise ValueError unless it is one of `ACTIVATIONS`."""
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation is {activation!r}; choose one of {sorted(ACTIVATIONS)}")


class ChebyshevConv(nn.Module):
    r"""Chebyshev convolution whose Laplacian is a constant CSR matrix, set up once.

    With at most as many output as input channels the sum is evaluated by Clenshaw's recurrence on the outputs,
    otherwise by the polynomials' recurrence on the inputs: the sparse products always see the fewer channels. Because
    :math:`\hat L` is symmetric, the gradients need only :math:`G_k = T_k(\hat L)\, \partial y`:
    :math:`\partial x = \sum_k G_k W_k^T` and :math:`\partial W_k = x^T G_k`. So the layer keeps nothing but its input
    for the backward pass. The twin by torch-geometric is `refine.chebyshev_reference.ChebyshevConvReference`.

    Weights start as He normal over the fan-in K * C_in, cut at two standard deviations, as in the published code; the
    bias starts at 0. Not twice differentiable. Runs in the Laplacian's type (float32) under autocast too.

    Args:
        in_channels: C_in.
        out_channels: C_out.
        order: K, the number of polynomials; 1 makes a plain linear map.
        laplacian: symmetric operator (V, V) with eigenvalues in [-1, 1].
        bias: whether one number a channel is added.

    Shapes:
        input (B, V, C_in), output (B, V, C_out); weight (K, C_in, C_out), bias (C_out).

    Raises:
        ValueError: the order or a channel count is below 1, or the operator is not symmetric.
    """

    def __init__(
        self, in_channels: int, out_channels: int, order: int, laplacian: SparseOperator, *, bias: bool = True
    ) -> None:
        super().__init__()
        if min(in_channels, out_channels, order) < 1:
            raise ValueError(f"channels {in_channels} -> {out_channels}, order {order}: each must be 1 or more")
        if not laplacian.symmetric:
            raise ValueError("the Laplacian must be symmetric: build it as SparseOperator(matrix, symmetric=True)")
        self.laplacian = laplacian
        self.weight = nn.Parameter(torch.zeros(order, in_channels, out_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the weights anew, set the bias to 0."""
        order, in_channels, _ = self.weight.shape
        deviation = (2.0 / (order * in_channels)) ** 0.5 / TRUNCATED_DEVIATION
        nn.init.trunc_normal_(self.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(B, V, C_in) to (B, V, C_out)."""
        check_shape("features", features, "B V C", V=self.laplacian.shape[0], C=self.weight.shape[1])
        with torch.autocast(features.device.type, enabled=False):
            operand = vertex_major(features.to(self.laplacian.dtype))
            return batch_first(_Chebyshev.apply(operand, self.weight, self.bias, self.laplacian.rows))

    def extra_repr(self) -> str:
        """Channels and order."""
        order, in_channels, out_channels = self.weight.shape
        return f"{in_channels} -> {out_channels}, order={order}, bias={self.bias is not None}"


class ChebyshevResidualBlock(nn.Module):
    r"""y = a(conv_2(a(conv_1(x)))) + s(x): two Chebyshev convolutions, each with its activation, and a shortcut.

    Lin et al. 2020, section 3: ReLU in the text, ELU in the released code. The shortcut is the identity, or where the
    channels differ a Chebyshev convolution of order 1 (a linear map) without bias.

    Args:
        in_channels: C_in.
        out_channels: C_out.
        order: K of both convolutions.
        laplacian: of the level the block works on.
        activation: "relu" or "elu".

    Shapes:
        input (B, V, C_in), output (B, V, C_out).

    Raises:
        ValueError: an unknown activation or wrong sizes.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        order: int,
        laplacian: SparseOperator,
        *,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        check_activation(activation)
        self.first = ChebyshevConv(in_channels, out_channels, order, laplacian)
        self.second = ChebyshevConv(out_channels, out_channels, order, laplacian)
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else ChebyshevConv(in_channels, out_channels, 1, laplacian, bias=False)
        self.activation = activation

    def forward(self, features: Tensor) -> Tensor:
        """(B, V, C_in) to (B, V, C_out)."""
        activate = ACTIVATIONS[self.activation]
        return activate(self.second(activate(self.first(features)))) + self.shortcut(features)


class _Chebyshev(torch.autograd.Function):
    """(V, B, C_in) to (V, B, C_out)."""

    @staticmethod
    def forward(ctx: Any, operand: Tensor, weight: Tensor, bias: Tensor | None, rows: SparseRows) -> Tensor:
        ctx.save_for_backward(operand, weight)
        ctx.rows = rows
        evaluate = _clenshaw if weight.shape[2] <= weight.shape[1] else _recurrence
        out = evaluate(operand, weight, rows)
        return out if bias is None else out.add_(bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        operand, weight = ctx.saved_tensors
        need_operand, need_weight, need_bias, _ = ctx.needs_input_grad
        gradient = gradient.contiguous()
        with torch.autocast(gradient.device.type, enabled=False):
            bias_gradient = gradient.sum((0, 1)) if need_bias else None
            if not need_operand and weight.shape[1] < weight.shape[2]:
                return None, _weight_gradient(operand, gradient, weight, ctx.rows), bias_gradient, None
            operand_gradient: Tensor | None = None
            weight_gradient = torch.zeros_like(weight) if need_weight else None
            flat = operand.flatten(0, 1).t()
            for k, term in enumerate(_terms(gradient, len(weight), ctx.rows)):
                if weight_gradient is not None:
                    torch.mm(flat, term.flatten(0, 1), out=weight_gradient[k])
                if operand_gradient is not None:
                    operand_gradient.addmm_(term.flatten(0, 1), weight[k].t())
                elif need_operand:
                    operand_gradient = term.flatten(0, 1) @ weight[0].t()
        if operand_gradient is not None:
            operand_gradient = operand_gradient.view_as(operand)
        return operand_gradient, weight_gradient, bias_gradient, None


def _weight_gradient(operand: Tensor, gradient: Tensor, weight: Tensor, rows: SparseRows) -> Tensor:
    """The weights' gradient by the recurrence on the inputs: cheaper where they have the fewer channels."""
    flat = gradient.flatten(0, 1)
    return torch.stack([term.flatten(0, 1).t() @ flat for term in _terms(operand, len(weight), rows)])


def _terms(operand: Tensor, order: int, rows: SparseRows) -> Iterator[Tensor]:
    """T_k(L) operand for k = 0..order-1, each (V, B, C); a term is overwritten two steps after it was handed out."""
    yield operand
    if order == 1:
        return
    before, last = operand, rows.multiply(operand.flatten(1)).view_as(operand)
    yield last
    for k in range(2, order):
        out = torch.empty_like(operand) if k == 2 else before
        rows.add_product(before.flatten(1), last.flatten(1), out.flatten(1), alpha=2.0, beta=-1.0)
        before, last = last, out
        yield last


def _recurrence(operand: Tensor, weight: Tensor, rows: SparseRows) -> Tensor:
    terms = _terms(operand, len(weight), rows)
    out = next(terms).flatten(0, 1) @ weight[0]
    for term, matrix in zip(terms, weight[1:], strict=True):
        out.addmm_(term.flatten(0, 1), matrix)
    return out.view(*operand.shape[:2], weight.shape[2])


def _clenshaw(operand: Tensor, weight: Tensor, rows: SparseRows) -> Tensor:
    """b_k = x W_k + 2 L b_{k+1} - b_{k+2}, down to k = 1; y = x W_0 + L b_1 - b_2. Two buffers, taken in turns."""
    flat = operand.flatten(0, 1)
    shape = (*operand.shape[:2], weight.shape[2])
    last = (flat @ weight[-1]).view(shape)
    before: Tensor | None = None
    for k in range(len(weight) - 2, -1, -1):
        out = torch.zeros_like(last) if before is None else before
        alpha, beta = (2.0 if k else 1.0), (0.0 if before is None else -1.0)
        rows.add_product(out.flatten(1), last.flatten(1), out.flatten(1), alpha=alpha, beta=beta)
        out.flatten(0, 1).addmm_(flat, weight[k])
        before, last = last, out
    return last
