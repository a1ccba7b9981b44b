"""Draw the README's first picture out of the portraits in this folder: python examples/first_picture.py OUT.jpg"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import gcnface
from gcnface.result.reconstruction import Reconstruction

SIDE_PX = 240
SURPRISE = {"jawOpen": 0.35, "browInnerUp": 0.8, "eyeWideLeft": 0.5, "eyeWideRight": 0.5}
BEHIND = (0.93, 0.93, 0.91)


def head_and_shoulders(face: Reconstruction) -> NDArray[np.float32]:
    """A square of the photo around the face."""
    assert face.photo is not None
    low, high = face.landmarks468[:, :2].min(0), face.landmarks468[:, :2].max(0)
    side = int(min(*face.photo.shape[:2], 1.7 * (high - low).max()))
    x, y = ((low + high) / 2 - [side / 2, 0.55 * side]).clip(0, np.array(face.photo.shape[1::-1]) - side).astype(int)
    cut = face.photo[y : y + side, x : x + side]
    return cv2.resize(cut, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)


def row(path: Path) -> NDArray[np.float32]:
    """Photo, result, albedo, two turns, two lights and an expression."""
    face = gcnface.reconstruct(path)
    shown = [
        face,
        face.relit("ambient"),
        face.rotated(yaw=-40),
        face.rotated(yaw=40),
        face.relit("left"),
        face.relit("sunset").rotated(yaw=12),
        face.relit("studio").with_expression(SURPRISE),
    ]
    drawn = [one.draw(2 * SIDE_PX).over(BEHIND) for one in shown]
    small = [cv2.resize(one, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA) for one in drawn]
    return np.hstack([head_and_shoulders(face), *small])


def main() -> None:
    """Command line."""
    folder, output = Path(__file__).parent, Path(sys.argv[1])
    picture = np.vstack([row(path) for path in sorted(folder.glob("*.jpg"))])
    pixels = np.rint(picture.clip(0, 1)[..., ::-1] * 255).astype(np.uint8)
    cv2.imwrite(str(output), pixels, [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
