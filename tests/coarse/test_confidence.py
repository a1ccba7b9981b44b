"""The confidence network: positive, neutral at the start, bound to its regressor, finds the better photograph."""

import pytest
import torch
from safetensors.torch import save_file

from coarse.coefficients import CoefficientLayout
from coarse.confidence import LARGEST_LOG, ConfidenceNetwork, backbone_checksum, load_confidence
from coarse.regressor import CoefficientRegressor, ResNetConfig
from coarse.set_aggregation import aggregate

LAYOUT = CoefficientLayout(identity=5, expression=3, albedo=4)


@pytest.fixture
def regressor():
    torch.manual_seed(0)
    return CoefficientRegressor(LAYOUT, ResNetConfig(width=4)).eval()


def test_starts_as_the_plain_mean(regressor):
    network = ConfidenceNetwork.beside(regressor)
    found = network(regressor.features(torch.rand(2, 3, 64, 64)))
    assert torch.equal(found.identity, torch.ones(2, 5))
    assert torch.equal(found.albedo, torch.ones(2, 4))


def test_confidences_are_positive_and_bounded():
    network = ConfidenceNetwork(8, 5, 4)
    torch.nn.init.normal_(network.head.weight, std=100)
    found = network(100 * torch.randn(16, 8)).identity
    assert found.min() >= torch.tensor(-LARGEST_LOG).exp() * 0.999
    assert found.max() <= torch.tensor(LARGEST_LOG).exp() * 1.001


def test_learns_which_photograph_to_believe():
    """Features say how noisy a photograph is; the aggregated identity must come nearer to the truth than the mean."""
    generator = torch.Generator().manual_seed(1)
    network = ConfidenceNetwork(6, 3, 2, hidden=16)
    optimizer = torch.optim.Adam(network.parameters(), 2e-2)

    def photographs(count):
        truth = torch.randn(count, 1, 3, generator=generator)
        noise = torch.rand(count, 4, 1, generator=generator) * 2
        seen = truth + noise * torch.randn(count, 4, 3, generator=generator)
        features = torch.cat([noise, -noise, noise * torch.randn(count, 4, 4, generator=generator)], dim=2)
        return truth[:, 0], seen, features

    def answer(seen, features):
        weight = network(features.flatten(0, 1)).identity.view(seen.shape)
        return (weight * seen).sum(1) / weight.sum(1)

    for _ in range(150):
        truth, seen, features = photographs(64)
        loss = (answer(seen, features) - truth).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    truth, seen, features = photographs(500)
    with torch.no_grad():
        learned = (answer(seen, features) - truth).square().mean()
        one = aggregate(seen[0], network(features[0]).identity)
        torch.testing.assert_close(one, answer(seen[:1], features[:1])[0])
    assert learned < 0.5 * (seen.mean(1) - truth).square().mean()


def test_weights_are_refused_beside_another_regressor(regressor, tmp_path):
    network = ConfidenceNetwork.beside(regressor)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, tmp_path / "c.safetensors")
    load_confidence(regressor, tmp_path / "c.safetensors")
    with torch.no_grad():
        regressor.heads["identity"].weight += 1
    load_confidence(regressor, tmp_path / "c.safetensors")
    with torch.no_grad():
        regressor.stem[0][0].weight[0, 0, 0, 0] += 1
    with pytest.raises(ValueError, match="another regressor"):
        load_confidence(regressor, tmp_path / "c.safetensors")
    other = CoefficientRegressor(CoefficientLayout(identity=6, expression=3, albedo=4), ResNetConfig(width=4))
    with pytest.raises(ValueError, match="do not fit"):
        load_confidence(other, tmp_path / "c.safetensors")
    with pytest.raises(ValueError, match="missing"):
        load_confidence(regressor, tmp_path / "none.safetensors")


def test_checksum_survives_storage_as_float16(regressor):
    before = backbone_checksum(regressor)
    state = {k: v.half().float() if v.is_floating_point() else v for k, v in regressor.state_dict().items()}
    regressor.load_state_dict(state)
    assert backbone_checksum(regressor) == before
