"""The files of a face or of a mesh, of whatever formats, written together."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gcnface.io.atomic import staged, writing
from gcnface.result.files.content import Content
from gcnface.result.files.obj import companion_stem
from gcnface.result.files.registry import FORMATS, by_suffix
from gcnface.result.mesh import TexturedMesh
from gcnface.result.reconstruction import Reconstruction


def file_names(name: str, formats: Sequence[str] | None = None) -> list[str]:
    """Names of the files that these formats make, by default all."""
    patterns = (pattern for kind in formats or FORMATS for pattern in FORMATS[kind].files)
    return [pattern.format(name=name, companion=companion_stem(name)) for pattern in patterns]


def save_as(
    reconstruction: Reconstruction, path: Path, name: str | None, formats: str | Sequence[str] | None
) -> list[Path]:
    """Write one file or a set into a folder; see `Reconstruction.save`."""
    kinds = (formats,) if isinstance(formats, str) else formats
    if name is None and path.suffix and not path.is_dir():
        return _save_file(reconstruction, path, kinds)
    if kinds is None:
        kinds = [kind for kind, row in FORMATS.items() if not row.photo or reconstruction.photo is not None]
    name = _default_name(reconstruction) if name is None else name
    unknown = [kind for kind in kinds if kind not in FORMATS]
    if unknown:
        raise ValueError(f"unknown format {', '.join(unknown)}; expected some of {', '.join(FORMATS)}")
    if name in ("", "..") or Path(name).name != name or "\0" in name:
        raise ValueError(f"name is {name!r}; expected what files can be called, without a folder")
    files = {kind: file_names(name, [kind]) for kind in kinds}
    return _save(Content(reconstruction.mesh, name, path, reconstruction), files, last=f"{name}.json")


def save_mesh(mesh: TexturedMesh, path: Path) -> Path:
    """Write the mesh alone; see `TexturedMesh.save`."""
    try:
        kind = by_suffix(path.suffix, mesh=True)
    except ValueError as error:
        raise ValueError(f"{path}: a mesh {error}") from None
    return _save(Content(mesh, path.stem, path.parent), _one(path, kind))[0]


def _save_file(reconstruction: Reconstruction, path: Path, kinds: Sequence[str] | None) -> list[Path]:
    """Write the format that the suffix names; the path itself comes first."""
    try:
        kind = by_suffix(path.suffix, mesh=False)
    except ValueError as error:
        raise ValueError(f"{path}: a face {error}, or give a folder and a name") from None
    if kinds is not None and list(kinds) != [kind]:
        remedy = "leave it out, or give a folder and a name"
        raise ValueError(f"{path}: formats is {', '.join(kinds)} for one file; {remedy}")
    return _save(Content(reconstruction.mesh, path.stem, path.parent, reconstruction), _one(path, kind))


def _one(path: Path, kind: str) -> dict[str, list[str]]:
    """The files of one format, the first called as the path is."""
    return {kind: [path.name, *file_names(path.stem, [kind])[1:]]}


def _default_name(reconstruction: Reconstruction) -> str:
    """What files of a face are called when nothing else is asked for: as its first photo is, or "face"."""
    photo = Path(reconstruction.photo_names[0] if reconstruction.photo_names else "")
    return photo.stem if photo.suffix else "face"


def _save(content: Content, files: Mapping[str, Sequence[str]], last: str | None = None) -> list[Path]:
    """Write the files of each format, all of them or none; `last` as in `staged`."""
    names = [file for kind in files for file in files[kind]]
    told = replace(content, files=names, begin=time.perf_counter())
    with staged(content.folder, last) as stage:
        for kind in sorted(files, key=lambda kind: FORMATS[kind].last):
            paths = [stage / file for file in files[kind]]
            with writing(paths[0]):
                FORMATS[kind].load()(told, *paths)
    return [content.folder / file for file in names]
