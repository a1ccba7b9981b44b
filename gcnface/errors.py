"""What users of gcnface may have to hear; `render.errors` holds the classes, at the bottom of the house, for all."""

from render.errors import (
    DeviceError,
    DifferentPersonWarning,
    DivergedError,
    FileError,
    GcnfaceError,
    LowQualityError,
    LowQualityWarning,
    MissingPackageError,
    NoFaceError,
    OutputError,
    PhotoError,
    ResultError,
    VideoError,
    WeightsError,
    printable,
)

__all__ = [
    "DeviceError",
    "DifferentPersonWarning",
    "DivergedError",
    "FileError",
    "GcnfaceError",
    "LowQualityError",
    "LowQualityWarning",
    "MissingPackageError",
    "NoFaceError",
    "OutputError",
    "PhotoError",
    "ResultError",
    "VideoError",
    "WeightsError",
    "printable",
]
