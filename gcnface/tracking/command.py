"""``gcnface track``: from the options to tracks and their files."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from gcnface.batch.inputs import ResultNames
from gcnface.batch.loop import loaded
from gcnface.batch.progress import Reporter
from gcnface.io.atomic import staged, writable
from gcnface.io.video_input import Video, VideoFrame, open_video
from gcnface.io.video_output import FrameWriter, frame_writer
from gcnface.options import TrackerOptions, TrackOptions, part
from gcnface.tracking.files import write_files
from gcnface.tracking.finishing import LEAST_FRAMES
from gcnface.tracking.overlay import overlay
from gcnface.tracking.track import TRACK_FORMATS, Track
from gcnface.tracking.tracker import Tracker

OVERLAY = "overlay"
_END_STAGES = 90
"""Of the bar, for the end: those of up to eight key frames and of writing."""
_UNKNOWN_FRAMES = 1000


def track(options: TrackOptions) -> int:
    """Follow the faces of a video and write their files.

    Returns:
        The exit status 0.

    Raises:
        GcnfaceError: the video cannot be read, shows no face, or the folder cannot be written to.
    """
    reporter = Reporter(1, quiet=options.quiet, debug=options.debug)
    with open_video(options.video) as video, writable(options.output):
        frames = _expected_frames(video, options)
        with reporter.running(stages=frames + _END_STAGES):
            reporter.photo(Path(video.name))
            _Run(options, video, reporter, frames).work()
    return 0


@dataclass
class _Run:
    """One video.

    Attributes:
        options: what is asked for.
        video: open.
        reporter: is told where the work stands.
        frames: how many are expected.
    """

    options: TrackOptions
    video: Video
    reporter: Reporter
    frames: int

    def work(self) -> None:
        """Track the video and write all files; they appear together."""
        begin = time.perf_counter()
        name = ResultNames(self.options.output).claim(_stem(self.video))
        with staged(self.options.output) as stage:
            self.reporter.stage("load")
            tracker = loaded(lambda: Tracker(part(TrackerOptions, self.options)))
            follow = time.perf_counter()
            self._follow(tracker, stage, name)
            rate = (tracker.frame + 1) / max(time.perf_counter() - follow, 1e-9)
            tracks = tracker.finish(self.video.name, on_stage=self.reporter.stage)
            self.reporter.stage("write")
            kinds = [kind for kind in self.options.formats if kind in TRACK_FORMATS]
            for number, one in enumerate(tracks, 1):
                stem = name if number == 1 else f"{name}_face{number}"
                write_files(one, stage, {kind: f"{stem}.{kind}" for kind in kinds})
        took = f"{rate:.0f} frames a second, {time.perf_counter() - begin:.1f} s"
        for number, one in enumerate(tracks, 1):
            self._tell(one, name if number == 1 else f"{name}_face{number}", took)
        others = sum(1 for person in tracker.persons if len(person.frames) >= LEAST_FRAMES) - len(tracks)
        if others > 0 and not self.options.all_faces:
            self.reporter.note(f"{self.video.name}: {others} more seen for a shorter time; --all-faces writes all")

    def _tell(self, one: Track, stem: str, took: str) -> None:
        where = self.options.output / stem
        seen = f"face {one.id} in {len(one.frames)} of {one.video_frames} frames"
        self.reporter.result(f"{self.video.name} -> {where} ({' '.join(self.options.formats)}), {seen}, {took}")

    def _follow(self, tracker: Tracker, stage: Path, name: str) -> None:
        """Give every frame to the tracker, and draw the overlay if that is asked for."""
        with ExitStack() as stack:
            writer: FrameWriter | None = None
            for number, frame in enumerate(self._wanted(), 1):
                self.reporter.stage(f"frame {number}")
                faces = tracker(frame.pixels, frame.seconds)
                if OVERLAY not in self.options.formats:
                    continue
                picture = overlay(frame.pixels, faces, tracker.camera)
                if writer is None:
                    file = f"{name}_overlay.mp4"
                    about = (stage / file, self.options.output / file, self.video.fps, picture.shape[:2])
                    writer = stack.enter_context(frame_writer(*about))
                writer.write(picture, frame.seconds)

    def _wanted(self) -> Iterator[VideoFrame]:
        """The frames up to the time asked for."""
        with _stop_asked(self.video) as stop:
            for frame in self.video.frames():
                if self.options.seconds is not None and frame.seconds > self.options.seconds:
                    return
                yield frame
                if stop():
                    return


@contextmanager
def _stop_asked(video: Video) -> Iterator[Callable[[], bool]]:
    """What tells whether Ctrl-C has been pressed, which ends what a camera gives; of a file it breaks the command off.

    A second Ctrl-C breaks off.
    """
    if not video.is_camera or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def stop(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, stop)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)


def _expected_frames(video: Video, options: TrackOptions) -> int:
    bound = round(options.seconds * video.fps) if options.seconds else None
    return min((count for count in (video.count, bound) if count), default=_UNKNOWN_FRAMES)


def _stem(video: Video) -> str:
    return video.name.replace(" ", "") if video.is_camera else Path(video.name).stem
