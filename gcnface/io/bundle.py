"""All files of one reconstruction, written together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gcnface.io.atomic import staged, writing
from gcnface.io.maps import write_maps
from gcnface.io.meshes import refuse_foreign_texture, write_mesh
from gcnface.io.npz import write_npz
from gcnface.io.obj import companion_stem
from gcnface.io.overlay import write_overlay
from gcnface.io.summary import write_summary
from gcnface.mesh import MESH_FORMATS
from gcnface.morph_targets import morph_targets
from gcnface.reconstruction import FORMATS, Reconstruction

_FILES = {
    "obj": ("{}.obj", "{companion}.mtl", "{companion}.png"),
    "overlay": ("{}_overlay.png",),
    "maps": ("{}_source.png", "{}_confidence.png"),
}


def file_names(name: str, formats: Sequence[str] = FORMATS) -> list[str]:
    """Names of the files that these formats make."""
    patterns = (pattern for kind in formats for pattern in _FILES.get(kind, ("{}." + kind,)))
    return [pattern.format(name, companion=companion_stem(name)) for pattern in patterns]


def check_name(name: str) -> None:
    """Raise ValueError unless files can be called so."""
    if name in ("", "..") or Path(name).name != name or "\0" in name:
        raise ValueError(f"name is {name!r}; expected what files can be called, without a folder")


def check_formats(formats: Sequence[str]) -> None:
    """Raise ValueError unless each is one of `FORMATS`."""
    unknown = [kind for kind in formats if kind not in FORMATS]
    if unknown:
        raise ValueError(f"unknown format {', '.join(unknown)}; expected some of {', '.join(FORMATS)}")


def save_reconstruction(reconstruction: Reconstruction, folder: Path, name: str, formats: Sequence[str]) -> list[Path]:
    """Write the formats; see `Reconstruction.save`."""
    check_formats(formats)
    check_name(name)
    names = file_names(name, formats)
    begin = time.perf_counter()
    with staged(folder, last=f"{name}.json") as stage:
        if "obj" in formats:
            refuse_foreign_texture(folder, name)
        for kind in sorted(formats, key="json".__eq__):  # the summary last: it tells how long the others took
            paths = [stage / file for file in file_names(name, [kind])]
            with writing(paths[0]):
                if kind == "json":
                    timings = {**reconstruction.timings, "write": time.perf_counter() - begin}
                    write_summary(replace(reconstruction, timings=timings), paths[0], name=name, files=names)
                else:
                    _write(reconstruction, paths, kind, name)
    return [folder / file for file in names]


def _write(reconstruction: Reconstruction, paths: Sequence[Path], kind: str, name: str) -> None:
    """One format that is not the summary."""
    if kind in MESH_FORMATS:
        _write_mesh(reconstruction, paths[0], kind, name)
    elif kind == "overlay":
        write_overlay(reconstruction, paths[0])
    elif kind == "npz":
        write_npz(reconstruction, paths[0])
    else:
        write_maps(reconstruction, *paths)


def _write_mesh(reconstruction: Reconstruction, path: Path, kind: str, name: str) -> None:
    """One mesh format, with the photo's light and the record's provenance; GLB and page with the face units as well."""
    write_mesh(
        reconstruction.mesh,
        path,
        kind,
        name=name,
        lighting=reconstruction.lighting,
        provenance=reconstruction.provenance,
        targets=morph_targets(reconstruction) if kind in ("glb", "html") else (),
    )
