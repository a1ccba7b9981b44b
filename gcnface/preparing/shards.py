"""Finished parts of a data set on disk, and the data set that they become; each file whole or not at all."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcnface.data.faces import COLUMNS, ROWS, PreparedFaces, check_rows
from gcnface.errors import FileError
from gcnface.io import plain_json
from gcnface.io.arrays import Archive, opened
from gcnface.io.atomic import staged
from gcnface.io.files import open_input
from gcnface.preparing.faces import Drop, PreparedFace
from gcnface.preparing.sources import Source

SHARD_FACES = 32
"""Photos a part: what an interruption costs at most, for every worker."""
FOLDER = "shards"
_FIELDS = {"canvases": "canvas", "embeddings": "embedding"}
"""Of a face, where they are not called as its array."""


def shard_path(dataset: Path, sources: Sequence[Source]) -> Path:
    """Where the part of these photos lies; other photos have another place."""
    names = "\n".join(str(source.file) for source in sources)
    return dataset / FOLDER / f"{hashlib.sha1(names.encode(errors='surrogateescape')).hexdigest()[:20]}.npz"


def write_shard(path: Path, faces: Sequence[PreparedFace], drops: Sequence[Drop]) -> None:
    """Write a part."""
    values = {name: [getattr(face, _FIELDS.get(name, name)) for face in faces] for name in ROWS}
    arrays: dict[str, Any] = {name: np.stack(of) for name, of in values.items() if faces and of[0] is not None}
    told = json.dumps({"rows": [_row(face.source) for face in faces], "drops": [asdict(drop) for drop in drops]})
    with staged(path.parent) as stage:
        np.savez(stage / path.name, told=np.array(told), **arrays)


def read_shard(path: Path) -> tuple[list[dict[str, str]], dict[str, NDArray]]:
    """A part: its rows of the table, its arrays by name.

    Raises:
        GcnfaceError: it is damaged.
    """
    with _told(path) as (archive, rows, _):
        names = [name for name in ROWS if name in archive.names]
        for name in names:
            check_rows(name, archive.header(name), len(rows))
        return rows, {name: archive.read(name) for name in names}


@contextmanager
def _told(path: Path) -> Iterator[tuple[Archive, list[dict[str, str]], list[Drop]]]:
    """An opened part, its rows and its dropped photos; whatever is wrong with it becomes one error."""
    try:
        with open_input(path) as file, opened(file) as archive:
            if archive.header("told").dtype.kind != "U":
                raise ValueError("told is no text")
            told = plain_json.read(archive.read("told").item())
            yield archive, told["rows"], [Drop(**drop) for drop in told["drops"]]
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise FileError(path, f"cannot be read ({error})", "delete it and run `gcnface prepare` again") from error


def _row(source: Source) -> dict[str, str]:
    flags = {"drawn": str(int(source.drawn)), "validation": str(int(source.validation))}
    return {"name": source.name, "identity": source.identity, **flags, "file": str(source.file)}


def rows_of(faces: PreparedFaces) -> list[dict[str, str]]:
    """The table of a data set that is there already."""
    assert faces.files is not None
    columns = (faces.names, faces.identities, faces.drawn.astype(int), faces.validation.astype(int), faces.files)
    return [dict(zip(COLUMNS, map(str, values), strict=True)) for values in zip(*columns, strict=True)]


def assemble(dataset: Path, paths: Sequence[Path], before: PreparedFaces | None) -> list[Drop]:
    """Put the faces that were there and those of the parts, in this order, into flat arrays.

    Args:
        dataset: the folder.
        paths: of the parts.
        before: the data set so far.

    Returns:
        The dropped photos of the parts.

    Raises:
        GcnfaceError: a part is damaged.
    """
    drops: list[Drop] = []
    rows = [] if before is None else rows_of(before)
    for path in paths:
        with _told(path) as (_, more_rows, more_drops):
            rows += more_rows
            drops += more_drops
    if rows:
        _write_arrays(dataset, paths, before, rows)
    return drops


def remove_parts(dataset: Path) -> None:
    """Remove the parts of a data set that holds them all, also those of a run that was killed before it came to it."""
    shutil.rmtree(dataset / FOLDER, ignore_errors=True)


def _write_arrays(
    dataset: Path, paths: Sequence[Path], before: PreparedFaces | None, rows: list[dict[str, str]]
) -> None:
    """Arrays and table; the table moves into place last."""
    with staged(dataset, last="table.csv") as stage:
        out: dict[str, NDArray] = {}
        start = 0
        for count, arrays in _blocks(paths, before):
            for name, values in arrays.items():
                if name not in out:
                    shape = (len(rows), *values.shape[1:])
                    out[name] = np.lib.format.open_memmap(stage / f"{name}.npy", "w+", values.dtype, shape)
                    if name == "landmarks68":
                        out[name][:start] = np.nan  # of faces that were there without
                out[name][start : start + count] = values
            start += count
        if "landmarks68" in out and np.isnan(out["landmarks68"]).all():
            del out["landmarks68"]
            (stage / "landmarks68.npy").unlink()
        write_table(stage / "table.csv", rows)


def write_table(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Write the table of a data set."""
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(rows)


def _blocks(paths: Sequence[Path], before: PreparedFaces | None) -> Iterator[tuple[int, dict[str, NDArray]]]:
    """Number of faces and arrays of each block, in order."""
    if before is not None:
        known = {name: values for name in ROWS if (values := getattr(before, name)) is not None}
        for first in range(0, len(before), SHARD_FACES):
            arrays = {name: values[first : first + SHARD_FACES] for name, values in known.items()}
            yield len(arrays["canvases"]), arrays
    for path in paths:
        rows, arrays = read_shard(path)
        yield len(rows), arrays
