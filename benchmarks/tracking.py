"""Faces followed through made videos: frames a second, jitter, lag, memory.

    python -m benchmarks.tracking [PHOTO] [--frames 90] [--threads 1] [--only still]

Still: the photo with noise of sigma 4/255, moved by known sub-pixel shifts as a hand would, at crop scale (224 px);
jitter is the root mean square distance of each landmark, shift removed, to its own mean. Turning: the photo's head,
reconstructed and drawn at known yaws before a gray wall; lag is the delay, in frames, that explains the yaws best.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import gcnface
from gcnface.photo.crop import TEMPLATE_POINTS5_PX, similarity_from_points, warp_image
from gcnface.tracking.finding import QuickDetector
from gcnface.tracking.tracked_face import TrackedFace

PHOTO = Path(__file__).parents[1] / "examples" / "portrait.jpg"
HW = (360, 480)
FPS = 30.0
NOISE = 4 / 255
SETTLED = 15
"""Frames that are not counted: filters and identity settle."""

Frames = Iterator[NDArray[np.uint8]]


def still(photo: NDArray[np.float32], shifts: NDArray[np.float64], seed: int = 0) -> Frames:
    """The photo at crop scale, noisy, moved by `shifts` (N, 2) px."""
    face = QuickDetector().detect(photo)[0]
    upright = similarity_from_points(face.points5, TEMPLATE_POINTS5_PX)
    rng = np.random.default_rng(seed)
    for shift in shifts:
        place = upright.copy()
        place[:2, 2] += np.array(HW[::-1]) / 2 - 112 + shift
        picture = warp_image(photo, place, HW)
        yield np.rint((picture + rng.normal(0, NOISE, picture.shape)).clip(0, 1) * 255).astype(np.uint8)


def hand(count: int) -> NDArray[np.float64]:
    """(N, 2) px: slow waves of different periods, 1.5 px to each side."""
    t = np.arange(count) / FPS
    return np.stack([1.5 * np.sin(2 * np.pi * 0.5 * t), 1.2 * np.sin(2 * np.pi * 0.37 * t + 1)], 1)


def turning(photo: NDArray[np.float32], yaws: NDArray[np.float64]) -> Frames:
    """The photo's head at these yaws (degrees), before a gray wall."""
    face = gcnface.reconstruct(photo, texture_size=512)
    for yaw in yaws:
        drawn = face.rotated(yaw=float(yaw), upright=True, light_follows=True).draw(min(HW)).over((0.6, 0.6, 0.6))
        yield np.rint(drawn.clip(0, 1) * 255).astype(np.uint8)


def followed(frames: Frames) -> tuple[gcnface.Tracker, list[list[TrackedFace]], NDArray[np.float64]]:
    """The tracker, what it told of each frame, and (N, 2) seconds of clock and processors that it took."""
    tracker, told, seconds = gcnface.Tracker(), [], []
    for number, frame in enumerate(frames):
        begin = time.perf_counter(), time.process_time()
        told.append(tracker(frame, number / FPS))
        seconds.append((time.perf_counter() - begin[0], time.process_time() - begin[1]))
    return tracker, told, np.array(seconds)[SETTLED:]


def jitter_px(points: NDArray[np.float64]) -> float:
    """Root mean square distance of points (N, P, 2) to their means over the frames."""
    away = points - points.mean(0)
    return float(np.sqrt((away**2).sum(2).mean()))


def lag_frames(found: NDArray[np.float64], true: NDArray[np.float64]) -> float:
    """By how many frames `found` (N,) is late, of the delays from -2 to 6 the one with the largest correlation."""
    at = np.arange(len(true), dtype=np.float64)
    inner = slice(8, -4)
    delays = np.arange(-2.0, 6.01, 0.1)
    fits = [np.corrcoef(found[inner], np.interp(at - d, at, true)[inner])[0, 1] for d in delays]
    return float(delays[int(np.argmax(fits))])


def still_figures(photo: NDArray[np.float32], count: int) -> dict[str, float]:
    """Frames a second, jitter and memory."""
    shifts = hand(count)
    tracker, told, seconds = followed(still(photo, shifts))
    held = [faces[0] for faces in told]
    person = tracker.persons[0]
    raw = person.log.rows()[:, : 468 * 3].reshape(-1, 468, 3)[..., :2]
    smooth = np.stack([face.landmarks468[:, :2] for face in held])
    (clock, processors), least = 1e3 * seconds.mean(0), 1e3 * seconds.min(0)
    kept = sum(frame.pixels.nbytes for frame in person.key_frames.best(100))
    return {
        "track: frames a second": 1e3 / clock,
        "track: frames in which the face is held, %": 100 * sum(face.found for face in held) / count,
        "track: ms a frame": clock,
        "track: ms a frame at least": least[0],
        "track: ms of all processors a frame": processors,
        "track: ms of all processors at least": least[1],
        "track: jitter of the networks, px at 224": jitter_px((raw - shifts[:, None])[SETTLED:]),
        "track: jitter as told, px at 224": jitter_px((smooth - shifts[:, None])[SETTLED:]),
        "track: key frames, MB": kept / 1e6,
        "track: rows on disk, MB": person.log.count * person.log.width * 4 / 1e6,
        "track: memory at most, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def turning_figures(photo: NDArray[np.float32], count: int) -> dict[str, float]:
    """Lag of a head that turns to and fro."""
    figures: dict[str, float] = {}
    for name, period_s in (("slow turn", 4.0), ("fast turn", 1.5)):
        yaws = 30 * np.sin(2 * np.pi * np.arange(count) / FPS / period_s)
        _, told, _ = followed(turning(photo, yaws))
        found = np.array([faces[0].euler_deg[0] for faces in told])
        lag, error = lag_frames(found, yaws), np.abs(found - found.mean() - yaws + yaws.mean())[8:].mean()
        figures[f"track, {name}: at most, degrees a second"] = float(np.abs(np.gradient(yaws)).max() * FPS)
        figures[f"track, {name}: lag, frames"] = lag
        figures[f"track, {name}: yaw off by, degrees"] = float(error)
    return figures


PARTS: dict[str, Callable[[NDArray[np.float32], int], dict[str, float]]] = {
    "still": still_figures,
    "turning": turning_figures,
}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", nargs="?", default=PHOTO, type=Path)
    parser.add_argument("--frames", type=int, default=90)
    parser.add_argument("--threads", type=int, default=1, help="of torch; the two networks take one of these each")
    parser.add_argument("--only", choices=("still", "turning"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    photo = gcnface.read_photo(given.photo)
    print(f"load of the machine  {os.getloadavg()[0]:8.1f}   on {os.cpu_count()} cores")
    for name, part in PARTS.items():
        if given.only in (None, name):
            for title, value in part(photo, given.frames).items():
                print(f"{title:<44}{value:10.2f}")


if __name__ == "__main__":
    main()
