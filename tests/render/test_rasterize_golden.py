"""Values and gradients that PyTorch3D 0.7.9 gave (device coordinates, blur 0, one face a pixel, no culling)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from render import available_backends, use_backend
from render.interpolate import interpolate
from render.ndc import ndc_from_screen
from render.rasterize import rasterize_screen
from tests.tolerances import SUMS

GOLDEN = Path(__file__).parent / "data" / "pytorch3d_rasterize.npz"
CASES = [str(case) for case in np.load(GOLDEN)["cases"]]
FIELDS = ("verts_ndc", "faces", "pix_to_face", "zbuf", "bary", "vertex_rgb", "image", "weight_z", "weight_rgb")


def load(case: str) -> dict[str, torch.Tensor]:
    with np.load(GOLDEN) as file:
        return {field: torch.from_numpy(file[f"{case}/{field}"]) for field in (*FIELDS, "grad_verts")}


def screen_from_ndc(verts_ndc, hw):
    """The inverse of `ndc_from_screen`."""
    x, y, depth = verts_ndc.unbind(-1)
    side = min(hw)
    return torch.stack([(hw[1] - side * x) / 2, (hw[0] - side * y) / 2, depth], -1)


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients(case, backend):
    golden = load(case)
    hw = tuple(golden["pix_to_face"].shape)
    verts = golden["verts_ndc"].clone().requires_grad_()
    perspective_correct = case.endswith("persp")
    with use_backend(backend):
        screen = screen_from_ndc(verts, hw)[None]
        fragments = rasterize_screen(screen, golden["faces"], hw, perspective_correct=perspective_correct)
    image = interpolate(golden["vertex_rgb"], golden["faces"], fragments)[0]
    assert torch.equal(fragments.pix_to_face[0], golden["pix_to_face"])
    torch.testing.assert_close(fragments.depth[0], golden["zbuf"], **SUMS)
    torch.testing.assert_close(fragments.bary[0], golden["bary"], **SUMS)
    torch.testing.assert_close(image, golden["image"], **SUMS)
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
