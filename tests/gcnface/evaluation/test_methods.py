from dataclasses import replace

import numpy as np
import pytest
import torch

from gcnface.errors import WeightsError
from gcnface.evaluation.methods import (
    build_method,
    build_methods,
    fit_photo,
    projected_colors,
)
from gcnface.evaluation.registries import METHODS
from refine import stored
from refine.network import TextureRefiner, TextureRefinerConfig
from refine.pyramid import MeshPyramid
from refine.unet import UNetConfig


def recolored(fitted):
    """The same face in a photo of other colours."""
    observation = replace(fitted.observation, linear=fitted.observation.linear.flip(-1) * 0.5 + 0.2)
    return replace(fitted, observation=observation, view=replace(fitted.view, photo=fitted.view.photo[..., ::-1] * 0.5))


@pytest.mark.parametrize(("name", "reads"), [("mean", False), ("coarse", False), ("projected", True)])
def test_who_reads_the_pixels(reconstructor, fitted, name, reads):
    method = build_method(reconstructor, name)
    one, two = method(fitted), method(recolored(fitted))
    assert torch.equal(one.albedo, two.albedo) != reads
    assert METHODS[name].copies_photo == reads


def test_mean_albedo_is_the_models(reconstructor, fitted):
    result = build_method(reconstructor, "mean")(fitted)
    assert np.array_equal(result.albedo.numpy(), reconstructor.model.albedo_mean)
    assert torch.equal(result.shading, fitted.view.shading[0])


def test_coarse_colours_are_those_of_the_coarse_stage(reconstructor, fitted):
    result = build_method(reconstructor, "coarse")(fitted)
    bright = (fitted.view.coarse.shading[0] > 0.2).all(1)
    assert torch.allclose((result.albedo * result.shading)[bright], fitted.view.coarse.lit[0][bright])


def test_projected_colours_are_the_photos_where_seen(reconstructor, fitted):
    result = build_method(reconstructor, "projected")(fitted)
    sure = fitted.observation.confidence[0] > 0.999
    assert torch.allclose(result.albedo[sure], fitted.observation.linear[0, sure], atol=2e-3)
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


def test_ours_are_the_pipelines_own_colours(reconstructor, fitted):
    face = reconstructor(fitted.view.photo)[0]
    vertices = build_method(reconstructor, "ours_vertices")(fitted)
    ours = build_method(reconstructor, "ours")(fitted)
    assert vertices.texture is None
    assert vertices.albedo.clamp(0, 1).numpy() == pytest.approx(face.vertex_albedo, abs=2e-3)
    assert np.abs(ours.texture - face.mesh.texture).mean() < 2e-3


def test_networks_come_from_their_files(reconstructor, fitted, monkeypatch, tmp_path):
    torch.manual_seed(0)
    small = TextureRefinerConfig(completion=UNetConfig(channels=(4, 4, 4, 4, 4)))
    network = TextureRefiner.from_face_model(reconstructor.model, small)
    stored.save_refiner(network, tmp_path / "dense.safetensors")
    monkeypatch.setattr("gcnface.evaluation.methods.baseline_weights", lambda name: tmp_path / f"{name}.safetensors")
    built, left_out = build_methods(reconstructor, ["dense", "image", "coarse"], strict=False)
    assert list(built) == ["dense", "coarse"]
    assert "image.safetensors" in left_out["image"]
    sure = fitted.observation.confidence[0] > 0.999
    result = built["dense"](fitted)
    lit = (result.albedo * result.shading)[sure]
    shown = fitted.observation.linear[0, sure]
    assert (lit - shown).abs().median() < 0.01
    with pytest.raises(WeightsError, match=r"image\.safetensors"):
        build_methods(reconstructor, ["coarse", "image"], strict=True)
    (tmp_path / "paper.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match=r"paper\.safetensors"):
        build_methods(reconstructor, ["paper"], strict=True)


def test_no_face_is_none(reconstructor):
    assert fit_photo(reconstructor, np.full((120, 100, 3), 0.5, np.float32)) is None
