from dataclasses import replace

import numpy as np
import pytest
import torch

from gcnface.cli import evaluate as arguments
from gcnface.evaluation.extras import EXTRAS
from gcnface.evaluation.identity import IDENTITY_NETWORKS
from gcnface.evaluation.methods import (
    DEFAULT_METHODS,
    METHODS,
    MethodUnavailableError,
    build_methods,
    fit_photo,
    projected_colors,
)
from refine import stored
from refine.network import TextureRefiner, TextureRefinerConfig
from refine.pyramid import MeshPyramid
from refine.unet import UNetConfig


def recolored(seen):
    """The same face in a photo of other colours."""
    observation = replace(seen.observation, linear=seen.observation.linear.flip(-1) * 0.5 + 0.2)
    return replace(seen, observation=observation, view=replace(seen.view, photo=seen.view.photo[..., ::-1] * 0.5))


@pytest.mark.parametrize(("name", "reads"), [("mean", False), ("coarse", False), ("projected", True)])
def test_who_reads_the_pixels(reconstructor, seen, name, reads):
    method = METHODS[name].build(reconstructor)
    one, two = method(seen), method(recolored(seen))
    assert torch.equal(one.albedo, two.albedo) != reads
    assert METHODS[name].copies_photo == reads


def test_mean_albedo_is_the_models(reconstructor, seen):
    result = METHODS["mean"].build(reconstructor)(seen)
    assert np.array_equal(result.albedo.numpy(), reconstructor.model.albedo_mean)
    assert torch.equal(result.shading, seen.view.shading[0])


def test_coarse_colours_are_those_of_the_coarse_stage(reconstructor, seen):
    result = METHODS["coarse"].build(reconstructor)(seen)
    bright = (seen.view.coarse.shading[0] > 0.2).all(1)
    assert torch.allclose((result.albedo * result.shading)[bright], seen.view.coarse.lit[0][bright])


def test_projected_colours_are_the_photos_where_seen(reconstructor, seen):
    result = METHODS["projected"].build(reconstructor)(seen)
    sure = seen.observation.confidence[0] > 0.999
    assert torch.allclose(result.albedo[sure], seen.observation.linear[0, sure], atol=2e-3)
    assert (result.shading == 1).all()


def test_hidden_halves_are_mirrored_and_the_rest_is_continued(reconstructor):
    model = reconstructor.model
    mirror = torch.from_numpy(model.mirror.astype(np.int64))
    left = torch.from_numpy(model.mean[:, 0] > 0)
    pyramid = MeshPyramid(model.levels)
    colors = torch.rand(1, len(left), 3, generator=torch.Generator().manual_seed(0))
    found = projected_colors(colors, left[None].float(), mirror, pyramid)
    twin = ~left & left[mirror]
    assert torch.allclose(found[0, left], colors[0, left], atol=1e-5)
    assert torch.allclose(found[0, twin], colors[0, mirror[twin]], atol=1e-5)
    constant = torch.full_like(colors, 0.4)
    few = torch.rand(1, len(left), generator=torch.Generator().manual_seed(1)) > 0.98
    assert projected_colors(constant, few.float(), mirror, pyramid) == pytest.approx(0.4, abs=1e-5)


def test_ours_are_the_pipelines_own_colours(reconstructor, seen):
    face = reconstructor(seen.view.photo)[0]
    vertices = METHODS["ours_vertices"].build(reconstructor)(seen)
    ours = METHODS["ours"].build(reconstructor)(seen)
    assert vertices.texture is None
    assert vertices.albedo.clamp(0, 1).numpy() == pytest.approx(face.vertex_albedo, abs=2e-3)
    assert np.abs(ours.texture - face.mesh.texture).mean() < 2e-3


def test_networks_come_from_their_files(reconstructor, seen, monkeypatch, tmp_path):
    torch.manual_seed(0)
    small = TextureRefinerConfig(completion=UNetConfig(channels=(4, 4, 4, 4, 4)))
    network = TextureRefiner.from_face_model(reconstructor.model, small)
    stored.save_refiner(network, tmp_path / "dense.safetensors")
    monkeypatch.setattr("gcnface.evaluation.methods.baseline_weights", lambda name: tmp_path / f"{name}.safetensors")
    built, left_out = build_methods(reconstructor, ["dense", "image", "coarse"], strict=False)
    assert list(built) == ["dense", "coarse"]
    assert "image.safetensors" in left_out["image"]
    sure = seen.observation.confidence[0] > 0.999
    result = built["dense"](seen)
    lit = (result.albedo * result.shading)[sure]
    shown = seen.observation.linear[0, sure]
    assert (lit - shown).abs().median() < 0.01
    with pytest.raises(MethodUnavailableError, match=r"image\.safetensors"):
        build_methods(reconstructor, ["coarse", "image"], strict=True)
    (tmp_path / "paper.safetensors").write_bytes(b"nothing")
    with pytest.raises(MethodUnavailableError, match=r"paper\.safetensors"):
        build_methods(reconstructor, ["paper"], strict=True)


def test_no_face_is_none(reconstructor):
    assert fit_photo(reconstructor, np.full((120, 100, 3), 0.5, np.float32)) is None


def test_the_command_knows_the_same_names():
    assert set(arguments.METHODS) == set(METHODS)
    assert arguments.DEFAULT_METHODS == DEFAULT_METHODS
    assert arguments.IDENTITY_NETWORKS == IDENTITY_NETWORKS
    assert set(arguments.EXTRAS) == set(EXTRAS)
    baselines = {"ours_equal" if name == "equal" else name for name in stored.BASELINES}
    ours = {"ours_network", "ours_vertices", "ours"}
    assert baselines | ours | {"mean", "coarse", "projected"} == set(METHODS)
