"""``gcnface align``: its arguments and its work."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gcnface.cli.arguments import add_device, add_photos, add_verbosity, side_px
from render.devices import check_device

if TYPE_CHECKING:
    from gcnface.batch.loop import ReadPhoto, Work, Write
    from gcnface.dense.aligned_face import AlignedFace

# Held equal to gcnface.dense.aligned_face.OUTPUTS by a test: importing that would cost the help a second.
OUTPUTS = {
    "kpt": "68 and 468 points, x y z in pixels of the photo",
    "pose": "yaw, pitch and roll, rotation, scale, translation",
    "depth": "depth of the face at every pixel of the photo, 16 bits",
    "position-map": "(256, 256, 3) float32, x y z of every point of the face",
    "texture": "the photo's colours on the face chart, alpha: seen in the photo",
    "mesh": "the dense face with this texture, upright, in metres",
    "overlay": "points and the head's axes on the photo",
}

STAGES = 8
"""Those of the aligner and, around them, reading, loading and writing; only the bar depends on it."""

SUMMARY = "find points, pose, depth and texture of faces, quickly"
DESCRIPTION = "Find where every point of a face lies in a photo, by one pass of the position map network."
EPILOG = """\
examples:
  gcnface align portrait.jpg -o out/
  gcnface align holiday/ -o out/ --kpt --pose --all-faces

what comes out for portrait.jpg; all of it when none is asked for:
  portrait_kpt.txt, portrait_kpt468.txt    --kpt
  portrait_pose.json                       --pose
  portrait_depth.png, portrait_depth.json  --depth
  portrait_position_map.npy                --position-map
  portrait_texture.png                     --texture
  portrait_mesh.glb                        --mesh
  portrait_overlay.png                     --overlay

exit status: 0 all done; 1 some photo failed (the others are done); 2 wrong usage
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``gcnface align``."""
    add_photos(parser)
    for name, what in OUTPUTS.items():
        parser.add_argument(f"--{name}", dest="outputs", action="append_const", const=name, help=what)
    parser.add_argument(
        "--texture-size",
        type=side_px(64, 8192),
        default=256,
        metavar="PX",
        help="side of the texture in pixels (default: 256)",
    )
    parser.add_argument("--all-faces", action="store_true", help="take every face of a photo instead of the largest")
    add_device(parser)
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """``gcnface align`` with parsed arguments; the exit status."""
    check_device(options.device)
    from gcnface.dense.aligner import load_aligner

    return align(options, lambda: load_aligner(options.device, options.texture_size, options.all_faces))


def align(options: argparse.Namespace, load: Callable[[], Callable[..., list[AlignedFace]]]) -> int:
    """Align every photo and write its files.

    Args:
        options: as parsed.
        load: gives the aligner; called once, when the first photo has been read.
    """
    from gcnface.batch.loop import PhotoRequest, work_through
    from gcnface.dense.files import FILE_ENDINGS

    outputs = tuple(name for name in OUTPUTS if name in (options.outputs or OUTPUTS))
    files = [ending for name in outputs for ending in FILE_ENDINGS[name]]
    endings = tuple(ending.removesuffix(".png") for ending in files if ending.endswith(".png"))
    request = PhotoRequest(options.photos, options.output, options.quiet, options.debug, STAGES, endings)
    return work_through(request, lambda: _work(load(), outputs))


def _work(aligner: Callable[..., list[AlignedFace]], outputs: tuple[str, ...]) -> Work:
    """What is done with one photo."""
    from gcnface.dense.aligner import aligned_faces

    def write(face: AlignedFace) -> Write:
        def save(folder: Path, name: str) -> str:
            face.save(folder, name, outputs)
            return " ".join(outputs)

        return save

    def work(photo: ReadPhoto, on_stage: Callable[[str], None]) -> list[Write]:
        return [write(face) for face in aligned_faces(aligner, photo.pixels, photo.path, on_stage)]

    return work
