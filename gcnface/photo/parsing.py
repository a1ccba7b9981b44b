"""Which pixel of the 224 px crop is skin, brow, eye, glasses, hair: a light network whose mask guards every colour."""

from importlib.resources import as_file, files
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from coarse.weights import load_weights
from render.shapes import check_shape

PARSING_CLASSES = ("rest", "skin", "brows", "eyes", "glasses", "nose", "lips", "mouth_interior", "ears", "hair")


class ConvNorm(nn.Sequential):
    """3 x 3 convolution, batch norm, ReLU. Shapes: (B, C_in, H, W) -> (B, C_out, H / stride, W / stride)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        conv = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        super().__init__(conv, nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """x + two convolutions (He et al. 2016), then ReLU. Shapes: (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Add the branch and rectify."""
        return functional.relu(x + self.second(self.first(x)))


class GlobalContext(nn.Module):
    """x + W mean(x): every place learns what the whole crop shows. Shapes: (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Add the mixed mean."""
        return x + self.mix(x.mean((2, 3), keepdim=True))


class Merge(nn.Module):
    """Decoder step: upsample, add the encoder's features, convolve.

    Shapes: (B, C_deep, H, W), (B, C_skip, 2H, 2W) -> (B, C_out, 2H, 2W).
    """

    def __init__(self, channels_deep: int, channels_skip: int, channels_out: int) -> None:
        super().__init__()
        self.lateral = nn.Conv2d(channels_deep, channels_skip, 1)
        self.conv = ConvNorm(channels_skip, channels_out)

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        """Merge the two resolutions."""
        up = functional.interpolate(self.lateral(deep), scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.conv(up + skip)


class FaceParser(nn.Module):
    """A small U-Net (Ronneberger et al. 2015) of dense 3 x 3 convolutions; 1.2 million parameters.

    Dense convolutions at halved resolutions are what CPUs run fastest; the last layer's channels are unfolded to full
    resolution (pixel shuffle, Shi et al. 2016). Left and right share their classes, so that mirroring is always safe.

    Shapes: images (B, 3, H, W) sRGB in [0, 1], H and W multiples of 16 -> logits (B, 10, H, W).
    """

    def __init__(self, widths: tuple[int, int, int, int] = (32, 64, 64, 128)) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth = widths
        self.encode_half = nn.Sequential(ConvNorm(3, half, 2), ConvNorm(half, half))
        self.encode_quarter = nn.Sequential(ConvNorm(half, quarter, 2), Residual(quarter))
        self.encode_eighth = nn.Sequential(ConvNorm(quarter, eighth, 2), Residual(eighth), Residual(eighth))
        self.encode_sixteenth = nn.Sequential(
            ConvNorm(eighth, sixteenth, 2), Residual(sixteenth), GlobalContext(sixteenth), Residual(sixteenth)
        )
        self.to_eighth = Merge(sixteenth, eighth, 64)
        self.to_quarter = Merge(64, quarter, 64)
        self.to_half = Merge(64, half, 32)
        self.head = nn.Conv2d(32, 4 * len(PARSING_CLASSES), 3, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the classes."""
        half = self.encode_half((images - 0.5) * 4)
        quarter = self.encode_quarter(half)
        eighth = self.encode_eighth(quarter)
        deep = self.to_eighth(self.encode_sixteenth(eighth), eighth)
        return functional.pixel_shuffle(self.head(self.to_half(self.to_quarter(deep, quarter), half)), 2)

    @torch.no_grad()
    def parse(self, images: Tensor) -> Tensor:
        """Class probabilities (B, 10, 224, 224) of crops (B, 3, 224, 224) sRGB in [0, 1].

        Raises:
            ShapeError: the images have another shape.
        """
        check_shape("images", images, "B C H W", C=3)
        return self(images.to(memory_format=torch.channels_last)).float().softmax(1).contiguous()


def load_parser(path: Path | None = None) -> FaceParser:
    """The trained parser, frozen, with its norms folded into the convolutions.

    Args:
        path: safetensors file; None means the one that comes with the package.

    Raises:
        WeightsError: the file is missing or damaged, or holds other weights.
    """
    if path is None:
        with as_file(files("gcnface") / "assets" / "parser.safetensors") as shipped:
            return load_parser(shipped)
    parser = read_parser(path)
    _fold_norms(parser.eval())
    parser.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return parser.requires_grad_(False)


def read_parser(path: Path) -> FaceParser:
    """The network with the weights of a file, as it is trained: norms apart, not frozen; raises as `load_parser`."""
    return load_weights(FaceParser(), path, "parser weights").train()


def _fold_norms(module: nn.Module) -> None:
    """Fold each batch norm that follows a convolution in a Sequential into that convolution (in place, own module)."""
    for child in module.children():
        _fold_norms(child)
    if isinstance(module, nn.Sequential):
        for index in range(len(module) - 1):
            conv, norm = module[index], module[index + 1]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module[index] = fuse_conv_bn_eval(conv, norm)
                module[index + 1] = nn.Identity()
