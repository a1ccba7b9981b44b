import pytest
import torch
from safetensors.torch import save_file

from coarse.spatial_transformer.localizer import BACKBONES, Localizer, VggBackbone, load_localizer
from coarse.spatial_transformer.theta import ThetaLayout, theta_layout_of

LAYOUT = ThetaLayout(identity=3, expression=2)


def test_fresh_network_answers_almost_the_neutral_face():
    raw = Localizer(LAYOUT).eval()(torch.rand(2, 3, 224, 224))
    assert 0 < raw.abs().max() < 0.02


def test_shipped_size_stays_under_six_megabytes_in_half_precision(model):
    assert 2 * sum(p.numel() for p in Localizer(theta_layout_of(model)).parameters()) < 6e6


def test_published_backbone_is_vgg16():
    with torch.device("meta"):
        backbone = VggBackbone()
        features = backbone(torch.zeros(1, 3, 224, 224))
    assert features.shape == (1, 4096)
    # VGG-16 has 138,357,544 parameters, 4,097,000 of them in its last layer of 1000 classes.
    assert sum(p.numel() for p in backbone.parameters()) == 138_357_544 - 4_097_000


def test_gradients_reach_the_first_layer():
    network = Localizer(LAYOUT)
    network(torch.rand(2, 3, 64, 64)).sum().backward()
    assert network.backbone.stem[0].weight.grad.abs().sum() > 0


def test_unknown_backbones_are_named():
    with pytest.raises(ValueError, match="huge"):
        Localizer(LAYOUT, "huge")
    assert set(BACKBONES) == {"light", "resnet50", "vgg16"}


def test_weights_load_and_wrong_ones_are_refused(tmp_path):
    path, network = tmp_path / "weights.safetensors", Localizer(LAYOUT).eval()
    save_file({name: v.half() if v.is_floating_point() else v for name, v in network.state_dict().items()}, path)
    crops = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(load_localizer(LAYOUT, path)(crops), network(crops), atol=1e-3, rtol=0.05)
    with pytest.raises(ValueError, match="do not fit"):
        load_localizer(ThetaLayout(identity=4, expression=2), path)
    with pytest.raises(ValueError, match=r"nothing\.safetensors.*missing"):
        load_localizer(LAYOUT, tmp_path / "nothing.safetensors")
