"""All files of one reconstruction, written together."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gcnface.io.atomic import staged, writing
from gcnface.result.files.maps import write_maps
from gcnface.result.files.meshes import refuse_foreign_texture, write_mesh
from gcnface.result.files.npz import write_npz
from gcnface.result.files.obj import companion_stem
from gcnface.result.files.overlay import write_overlay
from gcnface.result.files.summary import write_summary
from gcnface.result.mesh import MESH_FORMATS
from gcnface.names import FORMATS
from gcnface.result.reconstruction import Reconstruction

_FILES = {
    "obj": ("{}.obj", "{companion}.mtl", "{companion}.png"),
    "overlay": ("{}_overlay.png",),
    "maps": ("{}_source.png", "{}_confidence.png"),
}

_ONE_FILE = (*MESH_FORMATS, "npz", "json")
"""Formats that a file's suffix can name."""


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


def save_as(
    reconstruction: Reconstruction, path: Path, name: str | None, formats: str | Sequence[str] | None
) -> list[Path]:
    """Write one file or a set into a folder; see `Reconstruction.save`."""
    kinds = (formats,) if isinstance(formats, str) else formats
    if name is None and path.suffix and not path.is_dir():
        return _save_file(reconstruction, path, kinds)
    if kinds is None:
        kinds = [kind for kind in FORMATS if kind != "overlay" or reconstruction.photo is not None]
    return save_reconstruction(reconstruction, path, default_name(reconstruction) if name is None else name, kinds)


def default_name(reconstruction: Reconstruction) -> str:
    """What files of a face are called when nothing else is asked for: as its first photo is, or "face"."""
    photo = Path(reconstruction.photo_names[0] if reconstruction.photo_names else "")
    return photo.stem if photo.suffix else "face"


def save_reconstruction(reconstruction: Reconstruction, folder: Path, name: str, formats: Sequence[str]) -> list[Path]:
    """Write the formats into a folder, the files called NAME.glb and so on."""
    check_formats(formats)
    check_name(name)
    files = {kind: file_names(name, [kind]) for kind in formats}
    return _save(reconstruction, folder, name, files, last=f"{name}.json")


def _save_file(reconstruction: Reconstruction, path: Path, kinds: Sequence[str] | None) -> list[Path]:
    """Write the format that the suffix names; the path itself comes first."""
    kind = path.suffix.lower().lstrip(".")
    if kind not in _ONE_FILE:
        known = ", ".join(f".{name}" for name in _ONE_FILE)
        raise ValueError(f"{path}: a face cannot be saved as {path.suffix}; use {known}, or give a folder and a name")
    if kinds is not None and list(kinds) != [kind]:
        remedy = "leave it out, or give a folder and a name"
        raise ValueError(f"{path}: formats is {', '.join(kinds)} for one file; {remedy}")
    return _save(reconstruction, path.parent, path.stem, {kind: [path.name, *file_names(path.stem, [kind])[1:]]})


def _save(
    reconstruction: Reconstruction,
    folder: Path,
    name: str,
    files: Mapping[str, Sequence[str]],
    *,
    last: str | None = None,
) -> list[Path]:
    """Write the files of each format, all of them or none; `last` as in `staged`."""
    names = [file for kind in files for file in files[kind]]
    begin = time.perf_counter()
    with staged(folder, last) as stage:
        if "obj" in files:
            refuse_foreign_texture(folder, name)
        for kind in sorted(files, key="json".__eq__):  # the summary last: it tells how long the others took
            paths = [stage / file for file in files[kind]]
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
    """One mesh format, with the photo's light and the record's provenance."""
    write_mesh(
        reconstruction.mesh,
        path,
        kind,
        name=name,
        lighting=reconstruction.lighting,
        provenance=reconstruction.provenance,
    )
