"""Work that is quick, in a module that other processes can import."""

import faulthandler
import os
import signal
import time
from functools import partial
from pathlib import Path

from gcnface.batch.loop import ResultFiles, Written
from gcnface.errors import GcnfaceError
from gcnface.io.atomic import staged


def do(task):
    """A signal to this process each time, or the first time only; an exit; an error; or the task itself."""
    what, *once = task if isinstance(task, tuple) else (task,)
    if isinstance(what, str) and what.startswith("error"):
        raise ValueError(what)
    if once:
        try:
            Path(once[0]).touch(exist_ok=False)
        except FileExistsError:
            return what
    if what == "exit":
        os._exit(3)
    if isinstance(what, signal.Signals):
        faulthandler.disable()
        os.kill(os.getpid(), what)
        time.sleep(60)
    return what


def who(task):
    return os.getpid()


def nap(task):
    time.sleep(task)
    return task


def stay(path):
    """Say which process this is, and stay."""
    Path(path).write_text(str(os.getpid()))
    time.sleep(60)


def threads(task):
    import cv2
    import torch

    return torch.get_num_threads(), cv2.getNumThreads()


class Loads:
    def __init__(self, folder):
        self.folder, self.loaded = folder, False

    def __call__(self, task):
        if not self.loaded:
            self.loaded = True
            (self.folder / f"{os.getpid()}-{time.monotonic_ns()}").touch()
        time.sleep(0.05)
        return task


def write(folder, name, content):
    (folder / f"{name}.txt").write_text(content)
    return Written("txt")


def work(photo, on_stage):
    """As many faces as the photo is hundreds of pixels wide; 666 px fail, 777 px end the process, 888 px take long."""
    on_stage("detect")
    width = photo.pixels.shape[1]
    if width == 666:
        raise RuntimeError("first line\nsecond line")
    if width == 777:
        os.kill(os.getpid(), signal.SIGKILL)
    if width == 888:
        time.sleep(0.5)
    return [partial(write, content=f"{width} {index}") for index in range(width // 100)]


def load():
    return work


def fail():
    raise GcnfaceError("weights: missing")


def text_files(name):
    return [f"{name}.txt"]


TEXT = ResultFiles(text_files, all_faces=True)


def write_half(folder, name):
    with staged(folder) as stage:
        (stage / "half").write_text("x")
        (folder / name).write_text("ready")
        time.sleep(60)


def work_half(photo, on_stage):
    return [write_half]


def load_half():
    return work_half


def write_slowly(folder, name):
    time.sleep(0.2)
    return write(folder, name, "x")


def work_two(photo, on_stage):
    return [write_slowly, write_slowly]


def load_two():
    return work_two
