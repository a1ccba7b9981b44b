"""Recovered against true skin tone: heads of known albedo, and photographs by the angle they show.

    python -m benchmarks.skin_tone [--heads 6] [--photos 300] [--fidelity 40] [--save after.json] [--before before.json]

All angles are individual typology angles of cheeks and forehead, degrees. Heads are drawn under eight lamps by a camera
that meters its whole picture; detection is left out since their points are known. Photographs are those of ../shared
whose people no training may use, and for the angles all others as well; their fidelity is split by the photo's angle.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.tone_heads import ANGLES_DEG, KnownHead, known_heads
from gcnface.evaluation.groups import cheeks_and_forehead, skin_angles_deg, tone_of, typology_angle_deg
from gcnface.evaluation.methods import Method, build_method
from gcnface.evaluation.metrics import psnr_db
from gcnface.evaluation.records import FittedPhoto
from gcnface.evaluation.rendering import HeadRenderer
from gcnface.io.images import read_photo
from gcnface.options import ReconstructionOptions
from gcnface.photo.detection import Detection
from gcnface.pipeline import Reconstructor
from gcnface.preparing.layouts import read_rows
from gcnface.stages.coarse import Stopwatch
from gcnface.stages.observation import face_mask

_LEAST_CHROMA = 6.0
Row = dict[str, float | str]


def fitted_face(reconstructor: Reconstructor, photo: np.ndarray, face: Detection) -> FittedPhoto:
    """A face whose place is known, after the coarse stage."""
    view = reconstructor.stages.fit_face(photo, face, Stopwatch())
    return FittedPhoto(view, reconstructor.stages.observe(view))


class Annotated:
    """Photographs of a folder and where their faces are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "photos"
        data = np.load(folder / "photos_landmarks.npz")
        columns = zip(data["box"], data["score"], data["points5"], strict=True)
        self.faces = {str(n): Detection(b, float(s), p) for n, (b, s, p) in zip(data["name"], columns, strict=True)}
        self.people = {row["file"]: row["identity"] for row in read_rows(folder / "photos.csv", "a table of photos")}

    def held_out(self, name: str) -> bool:
        """Whether no training may use the person."""
        return zlib.crc32(self.people[name].encode()) % 10 == 0

    def fitted(self, reconstructor: Reconstructor, name: str) -> FittedPhoto:
        """One photo after the coarse stage."""
        return fitted_face(reconstructor, read_photo(self.folder / name), self.faces[name])


def head_rows(reconstructor: Reconstructor, heads: Iterable[KnownHead]) -> Iterator[Row]:
    """True and recovered angle of each head."""
    patch = cheeks_and_forehead(reconstructor.model)
    for head in heads:
        found = fitted_face(reconstructor, head.picture, head.detection)
        shown = torch.from_numpy(patch) & (found.observation.skin[0] > 0.5)
        angles = skin_angles_deg(found, patch)
        true = typology_angle_deg(head.albedo[shown])
        yield {"group": head.group, "lamp": head.lamp, "true": true, **angles}


def photo_rows(
    reconstructor: Reconstructor, photos: Sequence[tuple[Annotated, str]], fidelity: int, ours: Method
) -> Iterator[Row]:
    """The photo's own and the recovered angle of each, and the PSNR of the first `fidelity` people held out."""
    patch, renderer = cheeks_and_forehead(reconstructor.model), HeadRenderer(reconstructor.model)
    for source, name in photos:
        found = source.fitted(reconstructor, name)
        row: Row = {"file": name, "held_out": float(source.held_out(name)), **skin_angles_deg(found, patch)}
        if fidelity and source.held_out(name):
            fidelity -= 1
            drawn = renderer.render(found, ours(found))
            mask = drawn.mask & (face_mask(found.view.classes)[0].numpy() > 0.5)
            row["psnr"] = psnr_db(drawn.picture, renderer.photo(found), mask)
        yield row


def slope_of(x: np.ndarray, y: np.ndarray) -> float:
    """Of the least squares line, without pairs that are not known."""
    known = np.isfinite(x) & np.isfinite(y)
    return float(np.polyfit(x[known], y[known], 1)[0]) if known.sum() > 2 else float("nan")


def column(rows: Sequence[Row], name: str) -> np.ndarray:
    """Values of one name, NaN where there is none."""
    return np.array([float(row.get(name, np.nan)) for row in rows])


def head_figures(rows: Sequence[Row]) -> dict[str, float]:
    """Slope and bias over all heads, by group and by lamp."""
    true, found = column(rows, "true"), column(rows, "albedo")
    figures = {"heads: slope": slope_of(true, found), "heads: mean |error|": float(np.nanmean(abs(found - true)))}
    for kind, names in (("group", ANGLES_DEG), ("lamp", dict.fromkeys(str(row["lamp"]) for row in rows))):
        for name in names:
            here = np.array([row[kind] == name for row in rows])
            figures[f"heads, {name}: bias"] = float(np.nanmean((found - true)[here])) if here.any() else float("nan")
    return figures


def photo_figures(rows: Sequence[Row]) -> dict[str, float]:
    """Slope over all photographs and over people held out; PSNR by the photo's own angle."""
    own, found, psnr = column(rows, "photo"), column(rows, "albedo"), column(rows, "psnr")
    apart = column(rows, "held_out") > 0
    figures = {"photos: slope": slope_of(own, found), "photos held out: slope": slope_of(own[apart], found[apart])}
    dark = own < 10
    figures["photos below 10 degrees"] = float(dark.sum())
    figures["photos below 10 degrees that stay below"] = float((found[dark] < 10).sum())
    groups = np.array([str(tone_of(angle)) for angle in own])
    for name in ANGLES_DEG:
        here = (groups == name) & np.isfinite(psnr)
        if here.any():
            figures[f"PSNR, {name} ({here.sum()} photos)"] = float(np.mean(psnr[here]))
    return figures


def chosen_photos(sources: Sequence[Annotated], count: int) -> list[tuple[Annotated, str]]:
    """All photos of people held out, then others in turn up to `count`."""
    everything = [(source, name) for source in sources for name in source.faces]
    apart = [entry for entry in everything if entry[0].held_out(entry[1])]
    others = [entry for entry in everything if not entry[0].held_out(entry[1])]
    more = max(count - len(apart), 0)
    step = max(len(others) // more, 1) if more else 1
    return (apart + others[::step][:more])[:count]


def report(figures: dict[str, float], before: dict[str, float]) -> str:
    """Lines of a table."""
    lines = ["| figure | before | now |", "|---|---|---|"]
    lines += [f"| {name} | {before.get(name, float('nan')):.2f} | {value:.2f} |" for name, value in figures.items()]
    return "\n".join(lines)


def measured(shared: Path, heads: int, lamps: int, photos: int, fidelity: int) -> tuple[list[Row], list[Row]]:
    """Rows of heads and of photographs; the arguments are those of the command line."""
    reconstructor = Reconstructor(ReconstructionOptions(texture_size=256))
    faces, wild = (Annotated(shared / name) for name in ("faces", "wild"))
    models = [name for name in faces.faces if faces.held_out(name)][:: max(1, 70 // max(heads, 1))][:heads]
    people = [faces.fitted(reconstructor, name) for name in models]
    known = known_heads(reconstructor.model, people, heads, lamps=lamps)
    rows = list(head_rows(reconstructor, known)) if heads else []
    chosen = chosen_photos((wild, faces), photos)
    return rows, list(photo_rows(reconstructor, chosen, fidelity, build_method(reconstructor)))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with faces/ and wild/")
    parser.add_argument("--heads", type=int, default=6, help="heads a group")
    parser.add_argument("--lamps", type=int, default=4, help="lamps a head")
    parser.add_argument("--photos", type=int, default=300, help="photographs, people held out first")
    parser.add_argument("--fidelity", type=int, default=40, help="people held out whose drawing is compared")
    parser.add_argument("--save", type=Path, help="write all values here")
    parser.add_argument("--before", type=Path, help="values to compare with")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows, shown = measured(args.shared, args.heads, args.lamps, args.photos, args.fidelity)
    figures = (head_figures(rows) if rows else {}) | (photo_figures(shown) if shown else {})
    before = json.loads(args.before.read_text())["figures"] if args.before else {}
    print(report(figures, before))
    for row in sorted(shown, key=lambda row: float(row["photo"]))[:30]:
        print(f"{row['file']}: {row['photo']:.0f} in the photo, {row['albedo']:.0f} in the albedo")
    if args.save:
        args.save.write_text(json.dumps({"figures": figures, "heads": rows, "photos": shown}, indent=1))


if __name__ == "__main__":
    main()
