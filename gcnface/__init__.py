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

if TYPE_CHECKING:  # "as" tells type checkers that these are public
    from gcnface.api import load as load
    from gcnface.api import reconstruct as reconstruct
    from gcnface.api import reconstruct_many as reconstruct_many
    from gcnface.api import reconstruct_person as reconstruct_person
    from gcnface.dense.aligned_face import AlignedFace as AlignedFace
    from gcnface.dense.aligner import DenseAligner as DenseAligner
    from gcnface.dense.aligner import align as align
    from gcnface.dense.flattener import FlattenedFace as FlattenedFace
    from gcnface.dense.flattener import Flattener as Flattener
    from gcnface.dense.flattener import flatten as flatten
    from gcnface.dense.flattener import mean_face as mean_face
    from gcnface.errors import DeviceError as DeviceError
    from gcnface.errors import DifferentPersonWarning as DifferentPersonWarning
    from gcnface.errors import DivergedError as DivergedError
    from gcnface.errors import GcnfaceError as GcnfaceError
    from gcnface.errors import LowQualityError as LowQualityError
    from gcnface.errors import LowQualityWarning as LowQualityWarning
    from gcnface.errors import MissingPackageError as MissingPackageError
    from gcnface.errors import NoFaceError as NoFaceError
    from gcnface.errors import OutputError as OutputError
    from gcnface.errors import PhotoError as PhotoError
    from gcnface.errors import ResultError as ResultError
    from gcnface.errors import VideoError as VideoError
    from gcnface.errors import WeightsError as WeightsError
    from gcnface.io.images import read_photo as read_photo
    from gcnface.io.video_input import read_video as read_video
    from gcnface.options import ReconstructionOptions as ReconstructionOptions
    from gcnface.options import TrackerOptions as TrackerOptions
    from gcnface.photo.detection import Detection as Detection
    from gcnface.photo.detection import FaceDetector as FaceDetector
    from gcnface.pipeline import Reconstructor as Reconstructor
    from gcnface.result.lights import LIGHTS as LIGHTS
    from gcnface.result.mesh import TexturedMesh as TexturedMesh
    from gcnface.result.morph_targets import MorphTarget as MorphTarget
    from gcnface.result.quality import FaceQuality as FaceQuality
    from gcnface.result.quality import QualityMeasures as QualityMeasures
    from gcnface.result.reconstruction import Reconstruction as Reconstruction
    from gcnface.result.rendering import turntable as turntable
    from gcnface.tracking.track import Track as Track
    from gcnface.tracking.tracked_face import TrackedFace as TrackedFace
    from gcnface.tracking.tracker import Tracker as Tracker

_NAMES = {
    "gcnface.api": "load reconstruct reconstruct_many reconstruct_person",
    "gcnface.dense.aligned_face": "AlignedFace",
    "gcnface.dense.aligner": "DenseAligner align",
    "gcnface.dense.flattener": "FlattenedFace Flattener flatten mean_face",
    "gcnface.errors": "DeviceError DifferentPersonWarning DivergedError GcnfaceError LowQualityError "
    "LowQualityWarning MissingPackageError NoFaceError OutputError PhotoError ResultError VideoError WeightsError",
    "gcnface.io.images": "read_photo",
    "gcnface.io.video_input": "read_video",
    "gcnface.options": "ReconstructionOptions TrackerOptions",
    "gcnface.photo.detection": "Detection FaceDetector",
    "gcnface.pipeline": "Reconstructor",
    "gcnface.result.lights": "LIGHTS",
    "gcnface.result.mesh": "TexturedMesh",
    "gcnface.result.morph_targets": "MorphTarget",
    "gcnface.result.quality": "FaceQuality QualityMeasures",
    "gcnface.result.reconstruction": "Reconstruction",
    "gcnface.result.rendering": "turntable",
    "gcnface.tracking.track": "Track",
    "gcnface.tracking.tracked_face": "TrackedFace",
    "gcnface.tracking.tracker": "Tracker",
}
"""Public names by the module that has them."""

_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = ["__version__", *_HOME]


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
