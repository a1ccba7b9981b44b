"""NAME.json: what made the result, how long it took, and its figures."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gcnface.io import plain_json
from gcnface.result.files.content import Content
from gcnface.result.reconstruction import TEXEL_SOURCES, Reconstruction


def write_json(content: Content, path: Path) -> None:
    """Write the summary as indented JSON; it tells how long the other files took."""
    timings = {**content.known_face.timings, "write": time.perf_counter() - content.begin}
    about = summary(replace(content.known_face, timings=timings), name=content.name, files=list(content.files))
    path.write_text(plain_json.written(about, indent=2) + "\n", encoding="utf-8")


def summary(reconstruction: Reconstruction, *, name: str, files: list[str]) -> dict[str, Any]:
    """The content of NAME.json."""
    mesh = reconstruction.mesh
    return {
        "name": name,
        "provenance": dict(reconstruction.provenance),
        "seconds": {stage: round(float(seconds), 4) for stage, seconds in reconstruction.timings.items()},
        "seconds_total": round(float(sum(reconstruction.timings.values())), 4),
        "quality": reconstruction.quality.summary() if reconstruction.quality else None,
        "figures": {key: _number(value) for key, value in reconstruction.figures.items()},
        "mesh": {
            "vertices": len(mesh.vertices),
            "faces": len(mesh.faces),
            "texture_px": len(mesh.texture),
            "visible_vertices": int(reconstruction.visible.sum()),
            "texels": texel_shares(reconstruction.texel_source),
            **_photo_shares(reconstruction),
        },
        "expression": {name: round(weight, 4) for name, weight in reconstruction.blendshapes.items()},
        "files": files,
    }


def texel_shares(texel_source: np.ndarray) -> dict[str, float]:
    """Share of the surface's texels by where their colour comes from."""
    counts = np.bincount(texel_source.ravel(), minlength=len(TEXEL_SOURCES))[1 : len(TEXEL_SOURCES)]
    total = max(int(counts.sum()), 1)
    return {source: round(int(count) / total, 4) for source, count in zip(TEXEL_SOURCES[1:], counts, strict=True)}


def _photo_shares(reconstruction: Reconstruction) -> dict[str, dict[str, float]]:
    """Share of the surface's texels by the photo they come from, where there are several."""
    photos = reconstruction.photo_names
    if len(photos) < 2:
        return {}
    assert reconstruction.texel_photo is not None
    on_surface = max(int((reconstruction.texel_source > 0).sum()), 1)
    counts = np.bincount(reconstruction.texel_photo.ravel(), minlength=len(photos) + 1)[1:]
    return {"photos": {f"{k}: {name}": round(int(counts[k - 1]) / on_surface, 4) for k, name in enumerate(photos, 1)}}


def _number(value: float) -> float | None:
    """JSON knows neither NaN nor infinity: those become null."""
    return round(float(value), 6) if np.isfinite(value) else None
