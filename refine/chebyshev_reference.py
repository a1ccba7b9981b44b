"""Plain twin of `refine.chebyshev.ChebyshevConv` by torch-geometric: slow, independent, for tests and measurements."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.nn import ChebConv

from refine.chebyshev import ChebyshevConv
from refine.sparse import SparseOperator
from render.shapes import check_shape


class ChebyshevConvReference(ChebyshevConv):
    r"""torch-geometric's ``ChebConv`` (symmetric normalisation, lambda_max = 2) with the parameters of `ChebyshevConv`.

    State dicts of the two classes are interchangeable. Only the Laplacian's pattern is used: torch-geometric computes
    its values from the edges again on each call, as it always does.

    Args:
        in_channels: C_in.
        out_channels: C_out.
        order: K.
        laplacian: operator (V, V) made by `refine.graph.scaled_laplacian` with lambda_max = 2.
        bias: whether one number a channel is added.

    Shapes:
        input (B, V, C_in), output (B, V, C_out).
    """

    def __init__(
        self, in_channels: int, out_channels: int, order: int, laplacian: SparseOperator, *, bias: bool = True
    ) -> None:
        super().__init__(in_channels, out_channels, order, laplacian, bias=bias)
        self._conv = (ChebConv(in_channels, out_channels, order, normalization="sym", bias=bias),)
        crow, column = laplacian.get_buffer("crow").long(), laplacian.get_buffer("column").long()
        row = torch.repeat_interleave(crow.diff())
        self.register_buffer("edge_index", torch.stack([row, column])[:, row != column], persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, V, C_in) to (B, V, C_out)."""
        check_shape("features", features, "B V C", V=self.laplacian.shape[0], C=self.weight.shape[1])
        parameters = {f"lins.{k}.weight": matrix.t() for k, matrix in enumerate(self.weight)}
        if self.bias is not None:
            parameters["bias"] = self.bias
        arguments = (features, self.get_buffer("edge_index"))
        return torch.func.functional_call(self._conv[0], parameters, arguments, {"lambda_max": 2.0})
