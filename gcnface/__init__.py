"""From one photograph to a textured 3D face mesh.

    import gcnface

    face = gcnface.reconstruct("photo.jpg")
    face.save("face.glb")

Names are imported when they are first used, so that ``import gcnface`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gcnface.system.compat import watch_torchvision
from gcnface.system.own_packages import check_own_packages, errors_module
from gcnface.system.threads import survive_forks
from gcnface.version import __version__

if TYPE_CHECKING:
    from gcnface.api import load, reconstruct, reconstruct_person
    from gcnface.dense.aligned_face import AlignedFace
    from gcnface.dense.aligner import DenseAligner, align
    from gcnface.dense.flattener import FlattenedFace, Flattener, flatten, mean_face
    from gcnface.errors import (
        DeviceError,
        DifferentPersonWarning,
        DivergedError,
        GcnfaceError,
        MissingPackageError,
        NoFaceError,
        OutputError,
        PhotoError,
        ResultError,
        WeightsError,
    )
    from gcnface.io.images import read_photo
    from gcnface.pipeline import Reconstructor
    from gcnface.result.mesh import TexturedMesh
    from gcnface.result.reconstruction import Reconstruction
    from gcnface.result.turntable import turntable

_HOME = {
    "AlignedFace": "gcnface.dense.aligned_face",
    "DenseAligner": "gcnface.dense.aligner",
    "DeviceError": "gcnface.errors",
    "DifferentPersonWarning": "gcnface.errors",
    "DivergedError": "gcnface.errors",
    "FlattenedFace": "gcnface.dense.flattener",
    "Flattener": "gcnface.dense.flattener",
    "GcnfaceError": "gcnface.errors",
    "MissingPackageError": "gcnface.errors",
    "NoFaceError": "gcnface.errors",
    "OutputError": "gcnface.errors",
    "PhotoError": "gcnface.errors",
    "Reconstruction": "gcnface.result.reconstruction",
    "Reconstructor": "gcnface.pipeline",
    "ResultError": "gcnface.errors",
    "TexturedMesh": "gcnface.result.mesh",
    "WeightsError": "gcnface.errors",
    "align": "gcnface.dense.aligner",
    "flatten": "gcnface.dense.flattener",
    "load": "gcnface.api",
    "mean_face": "gcnface.dense.flattener",
    "read_photo": "gcnface.io.images",
    "reconstruct": "gcnface.api",
    "reconstruct_person": "gcnface.api",
    "turntable": "gcnface.result.turntable",
}

__all__ = [
    "AlignedFace",
    "DenseAligner",
    "DeviceError",
    "DifferentPersonWarning",
    "DivergedError",
    "FlattenedFace",
    "Flattener",
    "GcnfaceError",
    "MissingPackageError",
    "NoFaceError",
    "OutputError",
    "PhotoError",
    "Reconstruction",
    "Reconstructor",
    "ResultError",
    "TexturedMesh",
    "WeightsError",
    "__version__",
    "align",
    "flatten",
    "load",
    "mean_face",
    "read_photo",
    "reconstruct",
    "reconstruct_person",
    "turntable",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'gcnface' has no attribute {name!r}")
    if _HOME[name] == "gcnface.errors":
        module = errors_module()  # also there for `except gcnface.GcnfaceError` when the check below is what raises
    else:
        check_own_packages()
        module = importlib.import_module(_HOME[name])
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Public names, imported or not."""
    return sorted(__all__)


watch_torchvision()
survive_forks()
