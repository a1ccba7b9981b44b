"""Values and gradients that PyTorch3D 0.7.9 gave (device coordinates, blur 0, one face a pixel, no culling)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from render.interpolate import interpolate
from render.ndc import ndc_from_screen, screen_from_ndc
from render.rasterize import available_backends, rasterize

GOLDEN = Path(__file__).parent / "data" / "pytorch3d_rasterize.npz"
CASES = [str(case) for case in np.load(GOLDEN)["cases"]]
FIELDS = ("verts_ndc", "faces", "pix_to_face", "zbuf", "bary", "vertex_rgb", "image", "weight_z", "weight_rgb")


def load(case: str) -> dict[str, torch.Tensor]:
    with np.load(GOLDEN) as file:
        return {field: torch.from_numpy(file[f"{case}/{field}"]) for field in (*FIELDS, "grad_verts")}


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients(case, backend):
    golden = load(case)
    hw = tuple(golden["pix_to_face"].shape)
    verts = golden["verts_ndc"].clone().requires_grad_()
    perspective_correct = case.endswith("persp")
    fragments = rasterize(
        screen_from_ndc(verts, hw)[None], golden["faces"], hw, perspective_correct=perspective_correct, backend=backend
    )
    image = interpolate(golden["vertex_rgb"], golden["faces"], fragments)[0]
    assert torch.equal(fragments.pix_to_face[0], golden["pix_to_face"])
    torch.testing.assert_close(fragments.depth[0], golden["zbuf"], atol=1e-5, rtol=0)
    torch.testing.assert_close(fragments.bary[0], golden["bary"], atol=1e-5, rtol=0)
    torch.testing.assert_close(image, golden["image"], atol=1e-5, rtol=0)
    hits = (fragments.depth[0] * golden["weight_z"])[fragments.mask[0]].sum()
    (hits + (image * golden["weight_rgb"]).sum()).backward()
    scale = golden["grad_verts"].abs().max().item()
    torch.testing.assert_close(verts.grad, golden["grad_verts"], atol=1e-4 * scale, rtol=1e-3)


@pytest.mark.parametrize("hw", [(64, 64), (48, 80), (80, 48)])
def test_device_coordinates_round_trip(hw):
    screen = torch.rand(2, 5, 3, dtype=torch.float64) * 50
    torch.testing.assert_close(screen_from_ndc(ndc_from_screen(screen, hw), hw), screen)
    corner = ndc_from_screen(torch.tensor([0.0, 0.0, 7.0]), hw)
    torch.testing.assert_close(corner, torch.tensor([hw[1] / min(hw), hw[0] / min(hw), 7.0]))
