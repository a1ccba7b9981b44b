"""``python -m tests.fuzz.chaos``: runs killed at random moments, each run again to its end; counts and failures."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from tests.fuzz.faces import PHOTOS
from tests.fuzz.kills import Job, Kill, Told, killed, unbroken

GCNFACE = (sys.executable, "-m", "gcnface")
_PARTS_OF_3 = (
    "from gcnface.preparing import dataset; dataset.SHARD_FACES = 3\n"
    "from gcnface import cli; raise SystemExit(cli.main())"
)
"""gcnface with parts so small that a dozen photos make several."""
QUICK = ("-o", "out", "-q", "--no-fit", "--texture-size", "64", "--formats", "npz,json,ply,glb,maps")
_RUN = ("trainer.default_root_dir=out", "trainer.precision=32-true", "threads=1", "pictures.every=0")

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def write_photos(folder: Path, count: int) -> Path:
    """Faces, each another: the drawn ones, mirrored and cut."""
    folder.mkdir(parents=True)
    for number in range(count):
        with Image.open(PHOTOS[number % len(PHOTOS)]) as picture:
            face = picture.convert("RGB").resize((320, 320))
        face = ImageOps.mirror(face) if number // len(PHOTOS) % 2 else face
        border = 3 * (number // (2 * len(PHOTOS)))
        face.crop((border, border, 320 - border, 320 - border)).save(folder / f"face{number:02}.png")
    return folder


def refine_job(photos: Path, workers: int) -> Job:
    """Several photos."""
    words = ("refine", str(photos), *QUICK, "--workers", str(workers))
    return Job(f"refine, {workers} workers", (*GCNFACE, *words), has_workers=workers > 1)


def _jobs(folder: Path) -> dict[Job, int]:
    """What is killed, and its share of the kills."""
    from tests.gcnface.annotated_folder import write_prepared_faces

    few, more = write_photos(folder / "few", 6), write_photos(folder / "more", 12)
    data = write_prepared_faces(folder / "prepared")
    prepare = ("prepare", str(more), "-o", "out", "-q", "--workers", "2", "--min-face", "20")
    refiner = ("data.drawn_faces=0", "data.faces_an_epoch=2", "trainer.max_epochs=4", *_RUN)
    refiner = (*refiner, "data.observations=out/observations")
    regressor = ("model.rendered=0", "data.batch_size=4", "trainer.max_epochs=8", *_RUN)

    def learnt(name: str) -> bool:
        return name.endswith((".safetensors", "config.yaml")) or name.startswith("observations/")

    return {
        refine_job(few, 2): 10,
        refine_job(few, 1): 5,
        Job("prepare, 2 workers", (sys.executable, "-c", _PARTS_OF_3, *prepare), has_workers=True): 7,
        Job("train refiner", (*GCNFACE, "train", "refiner", f"data.faces={data}", *refiner), learnt): 4,
        Job("train regressor", (*GCNFACE, "train", "regressor", f"data.faces={data}", *regressor), learnt): 4,
    }


def random_kill(job: Job, rng: np.random.Generator) -> Kill:
    """A moment, a signal and whom it meets."""
    moment = str(rng.choice(["time", "file", "writing"]))
    targets = ["process", "group", *["worker"] * job.has_workers]
    target = str(rng.choice(targets))
    number = signal.SIGKILL if target == "worker" else SIGNALS[rng.integers(len(SIGNALS))]
    return Kill(moment, float(rng.uniform(0.05, 0.95)), number, target)


def main() -> int:
    """Kill, run again, compare; 1 if something is not as it must be."""
    parser = argparse.ArgumentParser("python -m tests.fuzz.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of moments, signals and targets (default: 0)")
    parser.add_argument("--only", default="", metavar="TEXT", help="jobs whose name holds it, as prepare")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at the same time (default: one a core)")
    options = parser.parse_args()
    begin = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="gcnface-chaos-"))
    try:
        jobs = {job: count for job, count in _jobs(folder).items() if options.only in job.name}
        told = _all(jobs, folder, options.seed, options.jobs)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _tell(told)
    _say(f"seed {options.seed}, {time.monotonic() - begin:.0f} s")
    return int(any(one.problems for one in told))


def _all(jobs: dict[Job, int], folder: Path, seed: int, at_once: int) -> list[Told]:
    """Every kill of every job."""
    rng = np.random.default_rng(seed)
    kills = [(job, random_kill(job, rng)) for job, count in jobs.items() for _ in range(count)]
    with ThreadPoolExecutor(at_once) as pool:
        whole = dict(zip(jobs, pool.map(lambda job: unbroken(job, folder / "whole" / job.name), jobs), strict=True))

        def one(numbered: tuple[int, tuple[Job, Kill]]) -> Told:
            number, (job, kill) = numbered
            told = killed(job, kill, whole[job], folder / str(number))
            shutil.rmtree(folder / str(number), ignore_errors=True)
            state = "; ".join(told.problems) or ("well" if told.hit else "well, but over before the kill")
            how = f"{kill.number.name} to the {kill.target} at {kill.moment} {kill.share:.2f}"
            _say(f"{job.name}: {how}: {state}")
            return told

        return list(pool.map(one, enumerate(kills)))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _tell(told: Sequence[Told]) -> None:
    """The table."""
    _say(f"\n{'job':<20} kills  hit  well failed")
    for name in dict.fromkeys(one.job for one in told):
        mine = [one for one in told if one.job == name]
        well = sum(not one.problems for one in mine)
        _say(f"{name:<20} {len(mine):5} {sum(one.hit for one in mine):4} {well:5} {len(mine) - well:6}")
    by_signal = Counter(f"{one.kill.number.name} to {one.kill.target}" for one in told)
    _say(", ".join(f"{count} {name}" for name, count in sorted(by_signal.items())))
    kinds = Counter(problem.split(":")[0] for one in told for problem in one.problems)
    _say("problems: " + (", ".join(f"{count} {name}" for name, count in kinds.items()) or "none"))


if __name__ == "__main__":
    sys.exit(main())
