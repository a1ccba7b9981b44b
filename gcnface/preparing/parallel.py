"""Parts of a data set, one after the other or in several processes with one thread each."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gcnface.batch import processes
from gcnface.batch.processes import Do, Fate, Kind, Line, share
from gcnface.errors import GcnfaceError
from gcnface.preparing.faces import FacePreparer, FaceSettings
from gcnface.preparing.shards import write_shard
from gcnface.preparing.sources import Source
from gcnface.system.threads import single_threaded

Part = tuple[list[Source], Path]
"""Photos and the file that their faces go to."""


def finished_parts(parts: Sequence[Part], settings: FaceSettings, workers: int) -> Iterator[list[Source]]:
    """Prepare parts and give out the photos of each as it gets done.

    What a part holds does not depend on how many workers there are.

    Args:
        parts: what is to do.
        settings: how.
        workers: processes; 1 or fewer works in this one.

    Raises:
        GcnfaceError: a worker was killed; all other parts were done.
        OutputError: a part cannot be written.
    """
    if workers <= 1:
        with single_threaded():
            prepare = _Preparing(settings)
            for part in parts:
                prepare(part)
                yield part[0]
        return
    load: Callable[[], _Preparing] = partial(_Preparing, settings)
    if processes.FORKS:
        load = partial(_same, load())
    lost: list[Fate] = []
    with closing(share(parts, partial(_begin, load), workers)) as events:
        for event in events:
            if event.kind is Kind.LOST:
                lost.append(event.what)
            elif event.kind is Kind.DONE and event.what is not None:
                raise event.what
            elif event.kind is Kind.DONE:
                yield parts[event.task][0]
    if lost:
        raise GcnfaceError(
            f"{len(lost)} of {len(parts)} parts are missing ({'; '.join(dict.fromkeys(fate.how for fate in lost))}); "
            f"run again{' with fewer --workers' if any(fate.alone for fate in lost) else ''} to do these alone"
        )


class _Preparing:
    """Prepares and writes one part after the other."""

    def __init__(self, settings: FaceSettings) -> None:
        self.preparer = FacePreparer(settings)

    def __call__(self, part: Part) -> None:
        sources, path = part
        write_shard(path, *self.preparer(sources))


def _same(preparing: _Preparing) -> _Preparing:
    """That which has been loaded already."""
    return preparing


def _begin(load: Callable[[], _Preparing], line: Line) -> Do:
    """What a worker does with its parts."""
    return _Attempt(load())


@dataclass(frozen=True)
class _Attempt:
    """Does a part; what failed, if something did, in a form that goes through a pipe."""

    prepare: _Preparing

    def __call__(self, part: Part) -> Exception | None:
        try:
            self.prepare(part)
        except GcnfaceError as error:
            return error
        except Exception:
            return RuntimeError(traceback.format_exc())
        return None
