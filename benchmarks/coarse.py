"""The methods of the coarse stage beside each other, on held-out people only.

    gcnface prepare ../shared/faces -o runs/faces
    python -m gcnface.building.rendered_heads --data runs/faces -o runs/heads
    python -m benchmarks.coarse [--data runs/faces] [--heads runs/heads] [--fits 100] [--json F]

Landmark errors are means over 468 points, dense errors means over the vertices of the face chart, both over the root of
the area of the true points' box, in percent. Rendered heads have true geometry; photographs have a teacher's landmarks.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.coarse_identity import identity_metrics
from benchmarks.coarse_methods import METHODS, Methods, dense_percent
from benchmarks.hard_photos import KINDS, hard_photos
from benchmarks.measures import landmark_percent
from gcnface.data.faces import PreparedFaces, load_prepared
from gcnface.data.heads import HeadRenders, load_heads
from gcnface.evaluation.groups import tone_of, typology_angle_deg
from gcnface.photo.parsing import PARSING_CLASSES
from render.camera import Camera
from render.color import linear_from_srgb

SECTIONS = ("photos", "heads", "hard", "tone", "identity", "networks")
BRIGHT, DARK = "light, 41 and more", "brown and dark"
MERGED_TONES = {"very light": BRIGHT, "light": BRIGHT, "brown": DARK, "dark": DARK}
TONE = "468 points 2D % by skin tone"
HARD = "hard photos, 468 points 2D %"
YAW_BINS_DEG = ((0, 30), (30, 60), (60, 90))


@dataclass
class Report:
    """Rows of numbers by section, method and column; cells are means or medians when they are printed."""

    cells: dict[str, dict[str, dict[str, list[float]]]] = field(default_factory=dict)

    def add(self, section: str, method: str, column: str, value: float) -> None:
        """One more value of a cell."""
        self.cells.setdefault(section, {}).setdefault(method, {}).setdefault(column, []).append(value)

    def table(self, section: str, middle: str = "mean") -> str:
        """The section as a table of means or medians."""
        rows = self.cells.get(section, {})
        columns = sorted({column for row in rows.values() for column in row}, key=lambda name: (name == "all", name))
        width = max((len(method) for method in rows), default=0)
        lines = [" " * width + "".join(f"{column:>22}" for column in columns)]
        for method, row in rows.items():
            shown = [f"{getattr(np, 'nan' + middle)(row[c]):22.3f}" if c in row else " " * 22 for c in columns]
            lines.append(f"{method:<{width}}" + "".join(shown))
        return "\n".join(lines)


def on_photographs(methods: Methods, faces: PreparedFaces, report: Report) -> None:
    """Real photographs against the teacher's landmarks."""
    for row in np.nonzero(faces.validation & ~faces.drawn)[0]:
        for name, answer in methods(faces.canvases[row]).items():
            error = landmark_percent(answer.landmarks, faces.landmarks[row])
            report.add("photographs", name, "landmarks %", error)
            if np.isfinite(answer.psnr_db):
                report.add("photographs", name, "coarse PSNR dB", answer.psnr_db)


def on_heads(methods: Methods, heads: HeadRenders, report: Report, fits: int) -> None:
    """Rendered heads against their true geometry, by yaw; `fits` of them also by the slower fits."""
    rows = np.nonzero(heads.validation)[0]
    fitted = set(rows[:: max(1, len(rows) // max(fits, 1))].tolist()) if fits else set()
    for row in rows:
        true = true_points(methods, heads, int(row))
        answers = methods(heads.canvases[row], METHODS if int(row) in fitted else ("regressor", "position map"))
        yaw = abs(float(np.degrees(heads.yaw[row])))
        yaw_bin = next((f"yaw {low}-{high}" for low, high in YAW_BINS_DEG if low <= yaw < high), "yaw 90+")
        for name, answer in answers.items():
            error = landmark_percent(answer.landmarks, heads.landmarks[row])
            report.add("heads, 468 points 2D %", name, yaw_bin, error)
            if answer.dense is None:
                continue
            flat, solid = dense_percent(answer.dense, true)
            sections = ["heads"] + (["heads, those with fits"] if int(row) in fitted else [])
            for section in sections:
                for bin_name in (yaw_bin, "all"):
                    report.add(f"{section}, dense 2D %", name, bin_name, flat)
                    report.add(f"{section}, dense 3D %", name, bin_name, solid)


@torch.no_grad()
def true_points(methods: Methods, heads: HeadRenders, row: int) -> NDArray[np.float32]:
    """(Nc, 3) true places of the chart's vertices, canvas px, z as position maps have it."""
    chosen = np.array([row])
    known = heads.coefficients(chosen, methods.morphable)
    camera: Camera = heads.cameras(chosen)
    verts = methods.morphable.vertices(known.identity, known.expression)
    screen = camera.project(methods.morphable.in_camera(verts, known))[0, methods.layout.vertex_index]
    origin_mm = known.translation[0, 2]
    depth = (screen[:, 2] - origin_mm) * camera.px_from_cam[0, :2, :2].det().sqrt() / origin_mm
    return torch.cat([screen[:, :2], depth[:, None]], dim=1).numpy()


def on_hard_photos(methods: Methods, faces: PreparedFaces, report: Report, count: int) -> None:
    """Glasses, beards, light from one side, hands, small faces."""
    for photo in hard_photos(faces, count):
        for name, answer in methods(photo.canvas).items():
            error = landmark_percent(answer.landmarks, photo.landmarks)
            report.add(HARD, name, photo.kind, error)


def by_skin_tone(methods: Methods, faces: PreparedFaces, report: Report) -> None:
    """All held-out faces, drawn ones too, by the individual typology angle of the skin as the photo shows it."""
    for row in np.nonzero(faces.validation)[0]:
        skin = faces.canvases[row][faces.labels[row] == PARSING_CLASSES.index("skin")]
        linear = linear_from_srgb(torch.from_numpy(skin.astype(np.float32) / 255))
        tone = tone_of(typology_angle_deg(linear)) or "no skin is seen"
        for method, answer in methods(faces.canvases[row], ("regressor", "position map")).items():
            error = landmark_percent(answer.landmarks, faces.landmarks[row])
            report.add(TONE, method, MERGED_TONES.get(tone, tone), error)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("runs/faces"), help="prepared faces")
    parser.add_argument("--heads", type=Path, default=Path("runs/heads"), help="rendered heads")
    parser.add_argument("--fits", type=int, default=100, help="rendered heads that are also fitted")
    parser.add_argument("--hard", type=int, default=12, help="hard photos of a kind")
    parser.add_argument("--variants", type=Path, nargs="*", default=[], help="weights of other regressors")
    parser.add_argument("--sections", nargs="*", default=SECTIONS, choices=SECTIONS, help="what to measure")
    parser.add_argument("--json", type=Path, help="write every value here")
    args = parser.parse_args()
    variants = {path.stem.replace("_", " "): path for path in args.variants}
    torch.manual_seed(0)
    methods, report = Methods(), Report()
    faces, heads = load_prepared(args.data), load_heads(args.heads)
    if "photos" in args.sections:
        on_photographs(methods, faces, report)
        print(f"photographs, medians\n{report.table('photographs', 'median')}\n", flush=True)
    if "heads" in args.sections:
        on_heads(methods, heads, report, args.fits)
        for section in [name for name in report.cells if name.startswith("heads")]:
            print(f"{section}, means\n{report.table(section)}\n", flush=True)
    if "hard" in args.sections:
        on_hard_photos(methods, faces, report, args.hard)
        print(f"hard photos ({', '.join(KINDS)}), means\n{report.table(HARD)}\n", flush=True)
    if "tone" in args.sections:
        by_skin_tone(methods, faces, report)
        counts = {name: len(values) for name, values in report.cells[TONE]["regressor"].items()}
        print(f"held-out faces by skin tone, {counts}, means\n{report.table(TONE)}\n", flush=True)
    if "identity" in args.sections:
        for method, column, value in identity_metrics(methods, faces, heads, variants):
            report.add("identity", method, column, value)
        print(f"identity\n{report.table('identity')}\n", flush=True)
    if "networks" in args.sections:
        for name, seconds in methods.seconds(faces.canvases[int(np.nonzero(faces.validation)[0][0])]).items():
            report.add("networks", name, "s a photo", seconds)
        print(f"networks, {torch.get_num_threads()} threads, medians\n{report.table('networks')}")
    if args.json:
        args.json.write_text(json.dumps(report.cells))


if __name__ == "__main__":
    main()
