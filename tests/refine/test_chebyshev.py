import inspect

import numpy as np
import pytest
import torch

from refine.chebyshev import ChebyshevConv, ChebyshevResidualBlock
from tests.refine.meshes import icosphere, laplacian, random, torus_grid

SIZES = [(5, 3, 6), (3, 5, 6), (4, 4, 1), (4, 4, 2), (2, 7, 3)]


def sphere_operator(subdivisions=1):
    verts, faces = icosphere(subdivisions)
    return laplacian(faces, len(verts))


def convolution(in_channels, out_channels, order, operator, seed=0):
    torch.manual_seed(seed)
    conv = ChebyshevConv(in_channels, out_channels, order, operator)
    torch.nn.init.normal_(conv.bias)
    return conv


@pytest.mark.parametrize("sizes", SIZES)
def test_equals_the_sum_of_dense_polynomials(sizes):
    operator = sphere_operator().double()
    conv = convolution(*sizes, operator).double()
    scaled = operator.rows.csr.to_dense()
    x = random(2, 42, sizes[0]).double()
    terms = [x, scaled @ x]
    for _ in range(sizes[2]):
        terms.append(2 * scaled @ terms[-1] - terms[-2])
    expected = sum(terms[k] @ conv.weight[k] for k in range(sizes[2])) + conv.bias
    assert torch.allclose(conv(x), expected)


@pytest.mark.parametrize("sizes", SIZES)
def test_gradcheck(sizes):
    verts, faces = icosphere(0)
    conv = convolution(*sizes, laplacian(faces, len(verts)).double()).double()
    x = random(2, 12, sizes[0]).double().requires_grad_()

    def apply(x, weight, bias):
        return torch.func.functional_call(conv, {"weight": weight, "bias": bias}, x)

    assert torch.autograd.gradcheck(apply, (x, conv.weight, conv.bias))
    assert torch.autograd.gradcheck(lambda w, b: apply(x.detach(), w, b), (conv.weight, conv.bias))


@pytest.mark.parametrize("sizes", SIZES)
def test_equals_torch_geometric_in_values_and_gradients(sizes):
    reference = pytest.importorskip("refine.chebyshev_reference").ChebyshevConvReference
    operator = sphere_operator(2)
    fast = convolution(*sizes, operator)
    plain = reference(*sizes, operator)
    plain.load_state_dict(fast.state_dict(), strict=True)
    x, g = random(3, 162, sizes[0]).requires_grad_(), random(3, 162, sizes[1], seed=1)
    answers = [conv(x) for conv in (fast, plain)]
    gradients = [
        torch.autograd.grad(y, [x, conv.weight, conv.bias], g) for y, conv in zip(answers, (fast, plain), strict=True)
    ]
    assert torch.allclose(*answers, atol=1e-5)
    for mine, theirs in zip(*gradients, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))


def test_twins_have_one_signature():
    reference = pytest.importorskip("refine.chebyshev_reference").ChebyshevConvReference
    assert inspect.signature(ChebyshevConv) == inspect.signature(reference)


def test_permuted_vertices_give_the_permuted_answer():
    verts, faces = icosphere(2)
    order = np.random.default_rng(0).permutation(len(verts))
    conv = convolution(4, 3, 6, laplacian(faces, len(verts)))
    moved = ChebyshevConv(4, 3, 6, laplacian(np.argsort(order)[faces], len(verts)))
    moved.load_state_dict(conv.state_dict())
    x = random(2, len(verts), 4)
    assert torch.allclose(moved(x[:, order]), conv(x)[:, order], atol=1e-5)


def test_a_constant_on_a_regular_mesh_sees_the_alternating_sum():
    conv = convolution(3, 5, 6, laplacian(torus_grid(6, 7), 42))
    x = torch.tensor([1.0, -2.0, 0.5]).expand(1, 42, 3)
    signs = torch.tensor([1.0, -1, 1, -1, 1, -1])
    expected = (x[0, 0] @ conv.weight * signs[:, None]).sum(0) + conv.bias
    assert torch.allclose(conv(x), expected.expand(1, 42, 5), atol=1e-5)


def test_reach_is_order_minus_one_edges():
    faces = torus_grid(15, 15)
    conv = convolution(1, 1, 4, laplacian(faces, 225))
    torch.nn.init.zeros_(conv.bias)
    spike = torch.zeros(1, 225, 1)
    spike[0, 112] = 1.0
    reached = conv(spike)[0, :, 0].reshape(15, 15) != 0
    rows, columns = torch.nonzero(reached, as_tuple=True)
    assert (rows - 7).abs().max() == 3
    assert (columns - 7).abs().max() == 3


def test_order_one_is_linear_and_batches_are_independent():
    conv = convolution(4, 6, 1, sphere_operator())
    x = random(3, 42, 4)
    assert torch.allclose(conv(x), x @ conv.weight[0] + conv.bias, atol=1e-6)
    deep = convolution(4, 6, 6, sphere_operator())
    assert torch.allclose(deep(x)[1:2], deep(x[1:2]), atol=1e-6)


def test_input_and_gradient_are_not_written_to():
    conv = convolution(4, 4, 6, sphere_operator())
    x, g = random(1, 42, 4).requires_grad_(), random(1, 42, 4, seed=1)
    before = x.detach().clone(), g.clone()
    conv(x).backward(g)
    assert torch.equal(x.detach(), before[0])
    assert torch.equal(g, before[1])


def test_autocast_does_not_lower_the_precision():
    conv = convolution(4, 4, 6, sphere_operator())
    x = random(1, 42, 4).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = conv(x)
        y.sum().backward()
    assert y.dtype == x.grad.dtype == torch.float32
    assert torch.equal(y, conv(x))


def test_initial_weights_have_he_variance():
    conv = ChebyshevConv(32, 64, 6, sphere_operator())
    assert conv.weight.std().item() == pytest.approx((2 / (6 * 32)) ** 0.5, rel=0.03)
    assert not conv.bias.any()


def test_parameters_of_one_layer():
    assert sum(p.numel() for p in ChebyshevConv(6, 3, 6, sphere_operator(), bias=False).parameters()) == 108


@pytest.mark.parametrize("sizes", [(0, 3, 6), (3, 0, 6), (3, 3, 0)])
def test_sizes_below_one_are_refused(sizes):
    with pytest.raises(ValueError, match="1 or more"):
        ChebyshevConv(*sizes, sphere_operator())


def test_wrong_inputs_are_refused():
    conv = convolution(4, 4, 2, sphere_operator())
    with pytest.raises(ValueError, match="features has shape"):
        conv(random(1, 42, 3))
    with pytest.raises(ValueError, match="features has shape"):
        conv(random(1, 41, 4))


@pytest.mark.parametrize("activation", ["relu", "elu"])
def test_block_is_two_activated_convolutions_and_a_shortcut(activation):
    block = ChebyshevResidualBlock(4, 6, 3, sphere_operator(), activation=activation)
    act = {"relu": torch.relu, "elu": torch.nn.functional.elu}[activation]
    x = random(2, 42, 4)
    expected = act(block.second(act(block.first(x)))) + x @ block.shortcut.weight[0]
    assert torch.allclose(block(x), expected, atol=1e-6)


def test_block_with_equal_channels_passes_its_input_on():
    block = ChebyshevResidualBlock(4, 4, 3, sphere_operator())
    torch.nn.init.zeros_(block.second.weight)
    x = random(1, 42, 4)
    assert torch.equal(block(x), x)
    with pytest.raises(ValueError, match="activation"):
        ChebyshevResidualBlock(4, 4, 3, sphere_operator(), activation="tanh")
