"""``gcnface align``: from the options to aligned faces and their files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gcnface.batch.loop import ReadPhoto, ResultFiles, Work, Write, savings, work_through
from gcnface.options import AlignOptions

STAGES = 8
"""Those of the aligner and, around them, reading, loading and writing; only the bar depends on it."""


def align(options: AlignOptions) -> int:
    """Align every photo and write its files.

    Returns:
        The exit status: 0 when every argument gave its results, else 1.
    """
    from gcnface.dense.aligned_face import file_names

    endings = tuple(file.removesuffix(".png") for file in file_names("", options.outputs) if file.endswith(".png"))
    files = ResultFiles(partial(file_names, outputs=options.outputs), endings, options.all_faces)
    return work_through(options, files, partial(_load, options), stages=STAGES)


def _load(options: AlignOptions) -> Work:
    """The work, with its networks."""
    from gcnface.dense import aligner as dense

    how = (options.device, options.texture_size, options.all_faces, options.detector, options.least_quality)
    aligner = dense.load_aligner(*how)

    def work(photo: ReadPhoto, on_stage: Callable[[str], None]) -> list[Write]:
        faces = dense.aligned_faces(aligner, photo.pixels, photo.path, on_stage)
        return savings(faces, options.outputs)

    return work
