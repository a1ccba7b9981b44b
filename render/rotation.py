"""Rotations, differentiable everywhere they are used."""

from __future__ import annotations

import torch
from torch import Tensor

from render.shapes import check_shape

_SMALL = 1e-4


def rotation_from_axis_angle(axis_angle: Tensor) -> Tensor:
    """Rodrigues' formula R = I + a K + b K K, K the cross product's matrix; series near zero keep gradients finite.

    Args:
        axis_angle: (B, 3) axis times angle in rad.

    Returns:
        (B, 3, 3).
    """
    check_shape("axis_angle", axis_angle, "B 3")
    square = axis_angle.square().sum(-1)[:, None, None]
    small = square < _SMALL
    safe = torch.where(small, torch.ones_like(square), square)
    angle = safe.sqrt()
    a = torch.where(small, 1 - square / 6 + square.square() / 120, angle.sin() / angle)
    b = torch.where(small, 0.5 - square / 24 + square.square() / 720, 2 * (angle / 2).sin().square() / safe)
    cross = _cross_matrix(axis_angle)
    return torch.eye(3).to(axis_angle) + a * cross + b * (cross @ cross)


def rotation_derivative(axis_angle: Tensor) -> Tensor:
    """Derivatives (B, 3, 3, 3) of `rotation_from_axis_angle` by the three numbers, those in the first of the threes.

    Gallego and Yezzi 2015, "A compact formula for the derivative of a 3-D rotation in exponential coordinates", eq. 9:
    dR/dv_i = (v_i [v] + [v x (I - R) e_i]) R / |v|^2, and [e_i] R near zero, where its terms of second order vanish.

    Args:
        axis_angle: (B, 3) axis times angle in rad.
    """
    check_shape("axis_angle", axis_angle, "B 3")
    rotation = rotation_from_axis_angle(axis_angle)
    eye = torch.eye(3).to(axis_angle)
    square = axis_angle.square().sum(-1)[:, None, None]
    small = square < _SMALL**2
    away = (eye - rotation).mT  # its row i is (I - R) e_i
    v = axis_angle[:, None].expand(-1, 3, -1)
    axis = (axis_angle[..., None] * v + torch.linalg.cross(v, away, dim=-1)) / torch.where(small, 1.0, square)
    return _cross_matrix(torch.where(small, eye, axis)) @ rotation[:, None]


def _cross_matrix(v: Tensor) -> Tensor:
    """(..., 3, 3) the matrix [v] of v x, of (..., 3)."""
    x, y, z = v.unbind(-1)
    o = torch.zeros_like(x)
    return torch.stack([o, -z, y, z, o, -x, -y, x, o], -1).unflatten(-1, (3, 3))


def axis_angle_from_rotation(rotation: Tensor) -> Tensor:
    """The inverse of `rotation_from_axis_angle`, angle in [0, pi], by the best conditioned of four quaternion forms.

    Args:
        rotation: (B, 3, 3) orthonormal, determinant 1.

    Returns:
        (B, 3) rad.
    """
    check_shape("rotation", rotation, "B 3 3")
    r = rotation
    m = [[r[:, i, j] for j in range(3)] for i in range(3)]
    one = torch.ones_like(m[0][0])
    wx, wy, wz = m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1]
    xy, xz, yz = m[0][1] + m[1][0], m[0][2] + m[2][0], m[1][2] + m[2][1]
    diagonal = [
        one + m[0][0] + m[1][1] + m[2][2],
        one + m[0][0] - m[1][1] - m[2][2],
        one - m[0][0] + m[1][1] - m[2][2],
        one - m[0][0] - m[1][1] + m[2][2],
    ]
    rows = [[diagonal[0], wx, wy, wz], [wx, diagonal[1], xy, xz], [wy, xy, diagonal[2], yz], [wz, xz, yz, diagonal[3]]]
    outer = torch.stack([torch.stack(row, -1) for row in rows], 1)  # 4 q q^T
    best = torch.stack(diagonal, -1).argmax(-1)
    quaternion = outer[torch.arange(len(r), device=r.device), best]
    quaternion = quaternion / quaternion.norm(dim=-1, keepdim=True)
    quaternion = torch.where(quaternion[:, :1] < 0, -quaternion, quaternion)
    w, v = quaternion[:, :1], quaternion[:, 1:]
    square = v.square().sum(-1, keepdim=True)
    small = square < 1e-10
    sine = torch.where(small, torch.ones_like(square), square).sqrt()
    return v * torch.where(small, 2 / w.clamp(min=0.5), 2 * torch.atan2(sine, w) / sine)


def rotation_from_euler(yaw: Tensor, pitch: Tensor, roll: Tensor) -> Tensor:
    """R = R_y(yaw) R_x(pitch) R_z(roll), right-handed, in model axes (x viewer's right, y up, z to the viewer).

    A positive yaw turns the face to the viewer's right, a positive pitch bends it down, a positive roll leans it
    counter-clockwise as the viewer sees it.

    Args:
        yaw: (B,) rad, about y.
        pitch: (B,) rad, about x.
        roll: (B,) rad, about z.

    Returns:
        (B, 3, 3).
    """
    size = check_shape("yaw", yaw, "B")["B"]
    check_shape("pitch", pitch, "B", B=size)
    check_shape("roll", roll, "B", B=size)
    axes = torch.eye(3).to(yaw)
    about_x, about_y, about_z = (
        rotation_from_axis_angle(angle[:, None] * axes[axis]) for angle, axis in ((pitch, 0), (yaw, 1), (roll, 2))
    )
    return about_y @ about_x @ about_z


def euler_from_rotation(rotation: Tensor) -> Tensor:
    """Yaw, pitch and roll of R = R_y(yaw) R_x(pitch) R_z(roll), the inverse of `rotation_from_euler`.

    The third column of R is (sin yaw cos pitch, -sin pitch, cos yaw cos pitch), its second row (cos pitch sin roll,
    cos pitch cos roll, -sin pitch). At a pitch of a quarter turn yaw and roll are one axis, not told apart.

    Args:
        rotation: (B, 3, 3) orthonormal, determinant 1.

    Returns:
        (B, 3) rad: yaw and roll in [-pi, pi], pitch in [-pi / 2, pi / 2].
    """
    check_shape("rotation", rotation, "B 3 3")
    yaw = torch.atan2(rotation[:, 0, 2], rotation[:, 2, 2])
    pitch = torch.atan2(-rotation[:, 1, 2], torch.hypot(rotation[:, 0, 2], rotation[:, 2, 2]))
    roll = torch.atan2(rotation[:, 1, 0], rotation[:, 1, 1])
    return torch.stack([yaw, pitch, roll], 1)
