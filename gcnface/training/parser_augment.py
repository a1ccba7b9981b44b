"""Random views of the parser's cached crops: moved, mirrored, relit, degraded, covered in places."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gcnface.data.faces import UNKNOWN


@dataclass(frozen=True)
class AugmentConfig:
    """How far the random views go; chances are per image.

    Attributes:
        side_px: side of a view.
        rotation_deg: standard deviation of the turn.
        log_scale: standard deviation of the logarithm of the scale.
        shift_px: standard deviation of the shift, each way.
        log_gamma: standard deviation of the logarithm of the exponent that darkens or brightens.
        channel_gain: standard deviation of each colour channel's gain.
        side_light: chance of a linear fall of light across the view.
        gray: chance of losing the colour.
        blur: chance of losing detail (the view is shrunk up to 4 times and enlarged again).
        noise: chance of Gaussian noise.
        jpeg: chance of JPEG artefacts.
        occluder: chance of something before the face; it is labelled "rest".
    """

    side_px: int = 224
    rotation_deg: float = 7.0
    log_scale: float = 0.08
    shift_px: float = 6.0
    log_gamma: float = 0.3
    channel_gain: float = 0.1
    side_light: float = 0.3
    gray: float = 0.1
    blur: float = 0.25
    noise: float = 0.25
    jpeg: float = 0.15
    occluder: float = 0.15


def random_views(
    images: Tensor, labels: Tensor, config: AugmentConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Random views of cached crops.

    Args:
        images: (B, 3, S, S) float32 in [0, 1].
        labels: (B, S, S) uint8.
        config: how far to go.
        generator: source of every random number.

    Returns:
        images (B, 3, s, s) float32 in [0, 1] and labels (B, s, s) int64.
    """
    grid = _random_grid(len(images), images.shape[-1], config, generator)
    views = functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    # Zero padding must become UNKNOWN, hence the shift by it.
    shifted = labels.float()[:, None] - UNKNOWN
    moved = functional.grid_sample(shifted, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    targets = (moved[:, 0] + UNKNOWN).round().long()
    views, targets = _occluded(views, targets, config, generator)
    views = _relit(views, config, generator)
    return _degraded(views, config, generator).clamp(0, 1), targets


def center_views(images: Tensor, labels: Tensor, side_px: int) -> tuple[Tensor, Tensor]:
    """The unaugmented middle: images (B, 3, s, s), labels (B, s, s) int64."""
    margin = (images.shape[-1] - side_px) // 2
    window = slice(margin, margin + side_px)
    return images[:, :, window, window], labels[:, window, window].long()


def _random_grid(count: int, stored_side: int, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """(B, s, s, 2) sampling places, in grid_sample's [-1, 1] of the stored crop."""
    normal = torch.randn(count, 4, generator=generator).clamp(-2, 2)
    angle = torch.deg2rad(normal[:, 0] * config.rotation_deg)
    scale = torch.exp(normal[:, 1] * config.log_scale) * config.side_px / stored_side
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    shift = normal[:, 2:] * config.shift_px * 2 / stored_side
    cos, sin = scale * angle.cos(), scale * angle.sin()
    first = torch.stack([mirror * cos, -sin, shift[:, 0]], 1)
    second = torch.stack([mirror * sin, cos, shift[:, 1]], 1)
    theta = torch.stack([first, second], 1)
    return functional.affine_grid(theta, [count, 1, config.side_px, config.side_px], align_corners=False)


def _chance(count: int, probability: float, generator: torch.Generator) -> Tensor:
    """(B, 1, 1, 1) float: 1 with the given probability, else 0."""
    return (torch.rand(count, 1, 1, 1, generator=generator) < probability).float()


def _occluded(
    views: Tensor, targets: Tensor, config: AugmentConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Cover some views by a turned ellipse or half-plane filled with a flat colour or with another view's pixels."""
    count, side = len(views), views.shape[-1]
    axis = torch.linspace(-1, 1, side)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    u = torch.rand(count, 6, 1, 1, generator=generator)
    angle = u[:, 0] * 2 * torch.pi
    dx, dy = x - (u[:, 1] * 1.8 - 0.9), y - (u[:, 2] * 1.8 - 0.9)
    along, across = dx * angle.cos() + dy * angle.sin(), dy * angle.cos() - dx * angle.sin()
    ellipse = (along / (0.1 + 0.5 * u[:, 3])) ** 2 + (across / (0.1 + 0.25 * u[:, 4])) ** 2 < 1
    beyond_edge = x * angle.cos() + y * angle.sin() > 0.55 + 0.5 * u[:, 3]
    cover = torch.where(u[:, 5] < 0.7, ellipse, beyond_edge)[:, None].float()
    cover = cover * _chance(count, config.occluder, generator)
    flat = torch.rand(count, 3, 1, 1, generator=generator).expand_as(views)
    other = views.roll(1, 0).flip(2)
    fill = torch.where(torch.rand(count, 1, 1, 1, generator=generator) < 0.5, flat, other)
    return views * (1 - cover) + fill * cover, torch.where(cover[:, 0] > 0, torch.zeros_like(targets), targets)


def _relit(views: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Random exposure, colour balance, side light and loss of colour."""
    count, side = len(views), views.shape[-1]
    gamma = torch.exp(torch.randn(count, 1, 1, 1, generator=generator) * config.log_gamma)
    gain = 1 + torch.randn(count, 3, 1, 1, generator=generator) * config.channel_gain
    views = (views.clamp(1e-4, 1) ** gamma * gain).clamp(0, 1)
    angle = torch.rand(count, 1, 1, 1, generator=generator) * 2 * torch.pi
    axis = torch.linspace(-1, 1, side)
    ramp = angle.cos() * axis[None, None, None, :] + angle.sin() * axis[None, None, :, None]
    strength = 0.5 * torch.rand(count, 1, 1, 1, generator=generator) * _chance(count, config.side_light, generator)
    views = views * (1 + strength * ramp)
    gray = _chance(count, config.gray, generator)
    return views * (1 - gray) + views.mean(1, keepdim=True) * gray


def _degraded(views: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Random loss of detail, noise and JPEG artefacts."""
    count, side = len(views), views.shape[-1]
    small_side = int(side / (1.5 + 2.5 * torch.rand((), generator=generator).item()))
    blurred, noisy, coded = (_picked(count, share, generator) for share in (config.blur, config.noise, config.jpeg))
    small = functional.interpolate(views[blurred], size=(small_side, small_side), mode="area")
    soft = functional.interpolate(small, size=(side, side), mode="bilinear", align_corners=False)
    views = views.index_copy(0, blurred, soft)
    level = 0.06 * torch.rand(len(noisy), 1, 1, 1, generator=generator)
    views = views.index_add(0, noisy, level * torch.randn(len(noisy), *views.shape[1:], generator=generator))
    quality = torch.randint(20, 80, (len(coded),), generator=generator).tolist()
    return views.index_copy(0, coded, _jpeg(views[coded], quality))


def _picked(count: int, probability: float, generator: torch.Generator) -> Tensor:
    """(K,) int64 indices of the images that an effect with this chance befalls."""
    return torch.nonzero(torch.rand(count, generator=generator) < probability)[:, 0]


def _jpeg(views: Tensor, quality: list[int]) -> Tensor:
    """(B, 3, H, W) views after JPEG at the given qualities."""
    result = views.clone()
    for index, level in enumerate(quality):
        image = np.rint(views[index].clamp(0, 1).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        _, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, level])
        decoded = cv2.imdecode(code, cv2.IMREAD_COLOR)
        result[index] = torch.from_numpy(decoded).permute(2, 0, 1).float() / 255
    return result
