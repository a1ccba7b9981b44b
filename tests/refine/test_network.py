import copy
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize

from coarse.face_model import load_face_model
from coarse.levels import decimated_levels
from refine.baselines import BASELINES, baseline_weights
from refine.encoding import decode_albedo, encode_albedo
from refine.network import TextureRefiner, TextureRefinerConfig, paper_config, released_config
from refine.pyramid import MeshPyramid
from refine.refiner import RefinerConfig
from refine.stored import load_refiner, save_refiner
from refine.unet import UNetConfig
from render.errors import WeightsError
from tests.refine.meshes import icosphere, mirror_table, random

SMALL = TextureRefinerConfig(completion=UNetConfig(channels=(8, 8, 16), embedding_size=16, embedding_hidden=8))


@pytest.fixture(scope="module")
def sphere():
    verts, faces = icosphere(3)
    return verts, MeshPyramid(decimated_levels(verts, faces, (4, 4)))


def make(sphere, config=SMALL, seed=0):
    torch.manual_seed(seed)
    return TextureRefiner(config, sphere[1], mirror_table(sphere[0]) if config.mirrored else None)


def sample(sphere, batch=2):
    points = torch.tensor(sphere[0], dtype=torch.float32).expand(batch, -1, -1)
    coarse = 0.3 + 0.1 * points
    projected = (coarse + 0.15 * torch.sin(4 * points)).clamp(0, 1)
    seen = ((points[..., :1] + 0.3) / 0.2).clamp(0, 1)
    return coarse, projected, seen, normalize(random(batch, 16))


def scrambled(net):
    torch.nn.init.normal_(net.completion.head.weight, std=0.1)
    return net


def test_a_new_network_returns_the_photo_where_seen_and_the_model_elsewhere(sphere):
    coarse, projected, seen, embedding = sample(sphere)
    out = make(sphere)(coarse, projected, seen, embedding)
    blend = seen * encode_albedo(projected) + (1 - seen) * encode_albedo(coarse)
    assert torch.allclose(out, decode_albedo(blend), atol=1e-5)
    assert torch.allclose(out[seen[..., 0] == 1], projected[seen[..., 0] == 1], atol=1e-5)
    assert torch.allclose(out[seen[..., 0] == 0], coarse[seen[..., 0] == 0], atol=1e-5)


def test_unseen_photo_colours_are_never_read(sphere):
    net = scrambled(make(sphere))
    coarse, projected, seen, embedding = sample(sphere)
    poisoned = torch.where(seen > 0, projected, torch.nan)
    assert torch.equal(net(coarse, poisoned, seen, embedding), net(coarse, projected, seen, embedding))


def test_fully_seen_colours_change_by_the_limit_at_most(sphere):
    net = make(sphere)
    torch.nn.init.normal_(net.completion.head.weight, std=100.0)
    coarse, projected, seen, embedding = sample(sphere)
    out = net(coarse, projected, torch.ones_like(seen), embedding)
    change = (encode_albedo(out, 4.0) - encode_albedo(projected)).abs().max().item()
    assert 0 < change <= SMALL.detail_limit + 1e-5


def test_every_input_and_every_parameter_counts(sphere):
    net = scrambled(make(sphere))
    inputs = [value.clone().requires_grad_() for value in sample(sphere)]
    net(*inputs).square().sum().backward()
    assert all(value.grad.isfinite().all() and value.grad.any() for value in inputs)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_the_mirrored_photo_colours_reach_the_other_side(sphere):
    net = scrambled(make(sphere))
    coarse, projected, _, embedding = sample(sphere, 1)
    points = torch.tensor(sphere[0], dtype=torch.float32)[None]
    seen = (points[..., :1] > 0.3).float()
    projected = projected.requires_grad_()
    far = int(torch.argmin(points[0, :, 0]))
    net(coarse, projected, seen, embedding)[0, far].sum().backward()
    assert projected.grad[0, mirror_table(sphere[0])[far]].abs().sum() > 0


def test_one_sample_can_be_learned_hidden_side_included(sphere):
    net = make(sphere)
    coarse, projected, seen, embedding = sample(sphere, 1)
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)

    def error():
        return (net(coarse, projected, seen, embedding) - projected).abs().mean()

    before = error().item()
    for _ in range(40):
        optimizer.zero_grad()
        loss = error()
        loss.backward()
        optimizer.step()
    assert error().item() < before / 5


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, mirrored=False), replace(SMALL, diffused=False)])
def test_options_leave_the_shapes(sphere, config):
    out = scrambled(make(sphere, config))(*sample(sphere))
    assert out.shape == (2, 642, 3)
    assert out.min() >= 0


def test_batches_are_independent(sphere):
    net = scrambled(make(sphere))
    inputs = sample(sphere)
    alone = net(*(value[1:] for value in inputs))
    assert torch.allclose(net(*inputs)[1:], alone, atol=1e-5)


def test_autocast_changes_nothing(sphere):
    net = scrambled(make(sphere))
    inputs = sample(sphere, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = net(*inputs)
    assert torch.equal(mixed, net(*inputs))


@pytest.mark.parametrize(("config", "refiner_size"), [(paper_config(), 29_932), (released_config(), 30_044)])
def test_the_published_layouts(sphere, config, refiner_size):
    deep = MeshPyramid(decimated_levels(*icosphere(3), (2, 2, 2, 2)))
    net = TextureRefiner(config, deep)
    assert sum(p.numel() for p in net.refiner.parameters()) == refiner_size
    assert sum(p.numel() for p in net.combine.parameters()) == 108
    coarse, projected, seen, _ = sample(sphere)
    out = net(coarse, projected, seen, normalize(random(2, 512)))
    assert out.shape == (2, 642, 3)
    assert out.min() >= 0
    assert out.max() <= 1
    out.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_the_paper_s_text_reads_what_was_not_seen_and_the_released_code_does_not(sphere):
    deep = MeshPyramid(decimated_levels(*icosphere(3), (2, 2, 2, 2)))
    coarse, projected, seen, _ = sample(sphere)
    embedding = normalize(random(2, 512))
    other = torch.where(seen > 0, projected, 1 - projected)
    assert not torch.equal(other, projected)
    for config, reads in ((paper_config(), True), (released_config(), False)):
        torch.manual_seed(0)
        net = TextureRefiner(config, deep)
        changed = not torch.equal(net(coarse, projected, seen, embedding), net(coarse, other, seen, embedding))
        assert changed == reads


@pytest.mark.parametrize("conditioned", [True, False])
def test_a_network_that_is_not_conditioned_is_deaf_to_the_embedding(sphere, conditioned):
    net = scrambled(make(sphere, replace(SMALL, conditioned=conditioned)))
    coarse, projected, seen, embedding = sample(sphere)
    same = torch.equal(net(coarse, projected, seen, embedding), net(coarse, projected, seen, -embedding))
    assert same != conditioned


def test_a_network_without_a_pyramid_answers_too(sphere):
    flat = replace(SMALL.flat, channels=4, blocks=2, embedding_size=16, embedding_hidden=4)
    net = make(sphere, replace(SMALL, network="flat", flat=flat))
    coarse, projected, seen, embedding = sample(sphere)
    out = net(coarse, projected, seen, embedding)
    torch.testing.assert_close(out, torch.where(seen == 1, projected, out))


def test_a_network_on_the_uv_map_needs_one(sphere):
    with pytest.raises(ValueError, match="UV map"):
        make(sphere, replace(SMALL, network="image"))


@pytest.mark.parametrize("network", ["graph", "image"])
def test_files_bring_their_configuration(tmp_path, network):
    model = load_face_model()
    config = replace(
        TextureRefinerConfig(network=network, detail_limit=0.05),
        completion=UNetConfig(channels=(4, 4, 4, 4, 6)),
        image=replace(TextureRefinerConfig().image, channels=(4, 4, 4, 4, 6), side=64),
    )
    net = scrambled(TextureRefiner.from_face_model(model, config))
    for weight in net.parameters():
        weight.data = weight.data.half().float()
    save_refiner(net, tmp_path / "net.safetensors")
    again = load_refiner(model, tmp_path / "net.safetensors")
    assert again.config == config
    assert not again.training
    count = net.pyramid.vertex_counts[0]
    inputs = random(1, count, 3).abs(), random(1, count, 3).abs(), torch.ones(1, count, 1), normalize(random(1, 512))
    assert torch.equal(again(*inputs), net(*inputs))


def test_a_file_with_settings_of_another_version_is_refused(tmp_path):
    path = tmp_path / "net.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"config": '{"colour": 3}'})
    with pytest.raises(WeightsError, match="not known here.*colour"):
        load_refiner(load_face_model(), path)
    path.write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="net.safetensors: cannot be read as refiner weights"):
        load_refiner(load_face_model(), path)


def test_baselines_are_found_by_name():
    assert {baseline_weights(name).stem for name in BASELINES} == set(BASELINES)
    with pytest.raises(ValueError, match="choose one of image, dense"):
        baseline_weights("best")


def test_state_travels_through_safetensors_and_is_strict(sphere, tmp_path):
    net, other = scrambled(make(sphere)), make(sphere, seed=1)
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, tmp_path / "net.safetensors")
    other.load_state_dict(load_file(tmp_path / "net.safetensors"))
    inputs = sample(sphere)
    assert torch.equal(net(*inputs), other(*inputs))
    state = net.state_dict()
    state.pop("completion.head.bias")
    with pytest.raises(RuntimeError, match=r"completion\.head\.bias"):
        other.load_state_dict(state)


def test_weights_of_another_mesh_are_refused(sphere):
    verts, faces = icosphere(3)
    other = MeshPyramid(decimated_levels(verts, faces[:, [1, 2, 0]], (4, 4)))
    net = TextureRefiner(SMALL, other, mirror_table(verts))
    with pytest.raises(ValueError, match="learned on a mesh pyramid"):
        net.load_state_dict(make(sphere).state_dict())


def test_copies_answer_alike(sphere):
    net = scrambled(make(sphere))
    inputs = sample(sphere)
    assert torch.equal(copy.deepcopy(net)(*inputs), net(*inputs))


@pytest.mark.parametrize(
    "wrong",
    [
        {"combine": "sum"},
        {"network": "tree"},
        {"masked": False},
        {"detail_limit": -1.0},
        {"brightest": 0.5},
        {"combine_order": 0},
        {"combine": "tanh"},
    ],
)
def test_wrong_configurations_are_refused(wrong):
    with pytest.raises(ValueError, match=r"combine is|network is|masked|detail_limit|in_channels"):
        TextureRefinerConfig(**wrong)


def test_tanh_mode_can_be_given_more_channels():
    assert TextureRefinerConfig(combine="tanh", refiner=RefinerConfig(in_channels=14)).in_channels == 14


def test_wrong_inputs_are_refused(sphere):
    net = make(sphere)
    coarse, projected, seen, embedding = sample(sphere)
    with pytest.raises(ValueError, match="seen has shape"):
        net(coarse, projected, seen[..., 0], embedding)
    with pytest.raises(ValueError, match="embedding has shape"):
        net(coarse, projected, seen, embedding[:, :5])
    with pytest.raises(ValueError, match="mirror table"):
        TextureRefiner(SMALL, sphere[1])
    with pytest.raises(ValueError, match="mirror has shape"):
        TextureRefiner(SMALL, sphere[1], [0, 1])


def test_missing_and_foreign_weights_are_named(tmp_path):
    model = load_face_model()
    with pytest.raises(WeightsError, match=r"none\.safetensors: refiner weights are missing"):
        load_refiner(model, tmp_path / "none.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match=r"a\.safetensors: refiner weights do not fit"):
        load_refiner(model, tmp_path / "a.safetensors")


def test_the_shipped_model_fits_and_torch_geometric_stays_unloaded():
    code = (
        "import sys, torch\n"
        "torch.set_num_threads(1)\n"
        "from coarse.face_model import load_face_model\n"
        "from refine.network import TextureRefiner\n"
        "net = TextureRefiner.from_face_model(load_face_model())\n"
        "count = net.pyramid.vertex_counts[0]\n"
        "x = torch.full((1, count, 3), 0.4)\n"
        "out = net(x, x, torch.ones(1, count, 1), torch.full((1, 512), 512**-0.5))\n"
        "assert torch.allclose(out, x, atol=1e-5)\n"
        "assert 'torch_geometric' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
