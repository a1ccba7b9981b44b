"""The regressor starts from the neutral face and takes its published size."""

import pytest
import torch
from safetensors.torch import save_file

from coarse.coefficients import CoefficientLayout
from coarse.regressor import LIGHT, RESNET50, CoefficientRegressor, load_regressor

LAYOUT = CoefficientLayout(identity=8, expression=4, albedo=4)


def test_fresh_network_answers_zero_whatever_it_sees():
    network = CoefficientRegressor(LAYOUT).eval()
    assert network(torch.rand(2, 3, 224, 224)).abs().max() == 0


def test_gradients_reach_the_heads():
    network = CoefficientRegressor(LAYOUT)
    network(torch.rand(2, 3, 64, 64)).sum().backward()
    assert all(head.weight.grad.abs().sum() > 0 for head in network.heads.values())


def test_published_backbone_has_resnet50_parameters():
    network = CoefficientRegressor(LAYOUT, RESNET50)
    backbone = sum(p.numel() for name, p in network.named_parameters() if not name.startswith("heads"))
    assert backbone == 23_508_032


def test_light_backbone_stays_under_fifteen_megabytes_in_half_precision():
    network = CoefficientRegressor(CoefficientLayout(identity=100, albedo=60), LIGHT)
    assert 2 * sum(p.numel() for p in network.parameters()) < 15e6


def test_weights_of_another_layout_are_refused_with_a_remedy(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file(CoefficientRegressor(LAYOUT).state_dict(), path)
    with pytest.raises(ValueError, match="do not fit this face model"):
        load_regressor(CoefficientLayout(identity=9, expression=4, albedo=4), path)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"nothing\.safetensors.*missing"):
        load_regressor(LAYOUT, tmp_path / "nothing.safetensors")
