"""Heads with true geometry: fitted faces with their own colours, drawn at every yaw to 100 degrees.

Annotated photographs look into the camera; networks must also know profiles. Views are made in two ways. Bare heads are
drawn whole over pieces of other photographs, at any yaw to 100 degrees and pitch to 50, from an arm's length or
through a telephoto lens, with changed expressions, under several lamps with their shadows, most with some hair and with
shoulders. Photographic views turn the photo itself in depth, hair and background included, as 300W-LP does (Zhu et al.
2016), up to 70 degrees. In both the landmarks, hidden ones included, and the coefficients are exact.

    python -m gcnface.building.rendered_heads --data runs/faces -o runs/heads
"""

from __future__ import annotations

import argparse
import logging
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from coarse.coefficients import Coefficients
from coarse.decomposition import decompose
from coarse.face_model import load_face_model
from coarse.fitting import fit_landmarks
from coarse.morphable import DARKEST_ALBEDO, MorphableModel, crop_camera
from gcnface.building.head_views import DrawnModel, RenderedView, RenderedViews, Source, draw_views
from gcnface.data.caches import Cache, fingerprint, fingerprint_of_rows
from gcnface.data.faces import CANVAS_PX, PreparedFaces, load_prepared
from gcnface.data.heads import HeadRenders, forget_heads, save_heads, source_of
from gcnface.io.atomic import staged
from gcnface.photo.parsing import FaceParser, load_parser
from gcnface.stages.observation import class_maps, observe_vertices
from refine.facenet import embed_crop224, load_facenet
from refine.network import TextureRefiner
from refine.stored import load_refiner
from render.lighting import MINIMUM_SHADING

_log = logging.getLogger(__name__)

PEOPLE_A_PART = 20
"""What an interruption costs at most, for every process."""


@dataclass(frozen=True)
class Networks(DrawnModel):
    """What is needed to complete the skin of a face."""

    coarser: MorphableModel
    parser: FaceParser
    facenet: nn.Module
    refiner: TextureRefiner


def complete_colors(parts: Networks, fit: Coefficients, crop: Tensor) -> Tensor:
    """The skin of a fitted face, seen and unseen: (V, 3) linear albedo and (V, 3) the photo's shading, stacked.

    Args:
        parts: the loaded networks.
        fit: coefficients of the face in its crop (a batch of one).
        crop: (1, 3, 224, 224) sRGB.

    Returns:
        (2, V, 3).
    """
    network, classes = parts.network, parts.parser.parse(crop)
    seen = observe_vertices(parts.model, network(fit), crop, class_maps(classes), crop_camera())
    found = decompose(parts.coarser, seen.colors(parts.coarser.vertex_index))
    face = network(replace(fit, albedo=found.albedo, lighting=found.lighting))
    shading = face.shading.clamp(min=MINIMUM_SHADING)
    embedding = embed_crop224(parts.facenet, crop)
    albedo = parts.refiner(face.albedo, seen.linear / shading, seen.confidence[..., None], embedding)
    return torch.stack([albedo[0].clamp(DARKEST_ALBEDO, 1), shading[0]])


@dataclass(frozen=True)
class _Job:
    """One process's share: rows of the prepared faces, and where their views are kept until all are drawn."""

    data: Path
    rows: NDArray[np.int64]
    settings: RenderedViews
    part: Cache

    def arrays(self) -> dict[str, NDArray]:
        """Every field of `HeadRenders` for the views of these people; read where they were drawn before."""
        return self.part.arrays(lambda: _draw_people(self))


@lru_cache(maxsize=1)
def _loaded() -> Networks:
    torch.set_num_threads(1)
    model = load_face_model()
    network, coarser = MorphableModel(model), MorphableModel(model, level=1)
    return Networks(model, network, coarser, load_parser(), load_facenet(), load_refiner(model))


@torch.no_grad()
def _draw_people(job: _Job) -> dict[str, NDArray]:
    """Draw the views of some people."""
    parts = _loaded()
    faces = load_prepared(job.data)
    with torch.enable_grad():
        fits = fit_landmarks(parts.network, faces.crop_landmarks()[job.rows])
    found: list[dict[str, NDArray]] = []
    for i, row in enumerate(job.rows):
        rng = np.random.default_rng((job.settings.seed, int(row)))
        crop, fit = faces.crop(row), fits[i : i + 1]
        albedo, shading = complete_colors(parts, fit, crop)
        backgrounds = faces.canvases[np.sort(rng.choice(np.nonzero(~faces.validation)[0], 4, replace=False))]
        source = Source(fit, np.array(faces.canvases[row]), albedo, shading)
        found += [_row(view, faces, row) for view in draw_views(parts, source, backgrounds, job.settings, rng)]
    return {name: np.stack([one[name] for one in found]) for name in found[0]}


def _draw(job: _Job) -> int:
    """Draw a job's views where that was not done before; how many they are."""
    return len(job.arrays()["person"])


def _row(view: RenderedView, faces: PreparedFaces, row: int) -> dict[str, NDArray]:
    posed = {
        name: getattr(view.posed, name)[0].numpy() for name in ("identity", "expression", "rotation", "translation")
    }
    return posed | {
        "canvases": view.canvas,
        "canvas_from_crop": view.canvas_from_crop,
        "landmarks": view.landmarks,
        "person": np.array(int(row)),
        "yaw": np.array(view.yaw, np.float32),
        "photographic": np.array(view.photographic),
        "validation": np.array(faces.validation[row]),
        "source": np.array(source_of(faces, row)),
    }


def render_heads(data: Path, output: Path, settings: RenderedViews, workers: int = 1) -> HeadRenders:
    """Draw views of people of a prepared data set, training and held-out ones alike.

    Broken off, it goes on where it stopped when called again with the same data and settings.

    Args:
        data: the prepared faces.
        output: folder for ``canvases.npy`` (0.25 MB a view) and ``heads.npz``; while it works, ``parts`` holds as much.
        settings: how many and how.
        workers: processes; the result does not depend on it.
    """
    faces = load_prepared(data)
    rows = _chosen_people(faces, settings)
    jobs = []
    for start in range(0, len(rows), PEOPLE_A_PART):
        own = rows[start : start + PEOPLE_A_PART]
        made_from = {"faces": fingerprint_of_rows(faces.landmarks, own), "settings": fingerprint(settings)}
        jobs.append(_Job(data, own, settings, Cache(output / "parts", "views", made_from)))
    forget_heads(output)
    done, wanted = 0, len(rows) * settings.views
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for count in pool.map(_draw, jobs):
            done += count
            _log.info("%d of %d views", done, wanted)
    return _assembled(jobs, wanted, output)


def _assembled(jobs: Sequence[_Job], count: int, output: Path) -> HeadRenders:
    """One data set of all jobs' views; their parts are removed."""
    tables: list[dict[str, NDArray]] = []
    with staged(output) as stage:
        shape = (count, CANVAS_PX, CANVAS_PX, 3)
        canvases = np.lib.format.open_memmap(stage / "canvases.npy", "w+", np.uint8, shape)
        for job in jobs:
            table = job.arrays()
            first = sum(len(other["person"]) for other in tables)
            canvases[first : first + len(table["person"])] = table.pop("canvases")
            tables.append(table)
        canvases.flush()
    joined = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    heads = HeadRenders(canvases=np.load(output / "canvases.npy", mmap_mode="r"), **joined)
    save_heads(heads, output)
    shutil.rmtree(output / "parts")
    return heads


def _chosen_people(faces: PreparedFaces, settings: RenderedViews) -> NDArray[np.int64]:
    """Photographs before drawn faces, at random within each."""
    order = np.random.default_rng(settings.seed).permutation(len(faces))
    return order[np.argsort(faces.drawn[order], kind="stable")][: settings.people]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="prepared faces (gcnface prepare)")
    parser.add_argument("--people", type=int, default=RenderedViews.people, help="at most so many people")
    parser.add_argument("--views", type=int, default=RenderedViews.views, help="views a person")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    render_heads(args.data, args.output, RenderedViews(people=args.people, views=args.views), args.workers)


if __name__ == "__main__":
    main()
