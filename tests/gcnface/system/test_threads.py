"""A fork computes, whatever its parent has computed with; how many threads and processes there are changes no byte."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")

FORKS = """
import multiprocessing, os, signal
import gcnface, torch, cv2
from gcnface.system.threads import single_threaded

def in_fork(work):
    child = os.fork()
    if child == 0:
        signal.alarm(120)
        work()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, "the fork failed, or hung"

torch.set_num_threads(2)
cv2.setNumThreads(2)
"""


def python(code, **environment):
    command = [sys.executable, "-c", FORKS + code]
    result = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=240
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("threads", ["2", "4"])
def test_libraries_in_forks_and_forks_of_forks(threads):
    python(
        """
import numpy as np
picture, matrix = np.ones((900, 900, 3), np.float32), torch.rand(900, 900)
network = torch.nn.Conv2d(3, 8, 3)

def use():
    cv2.GaussianBlur(cv2.resize(picture, (700, 700)), (0, 0), 3)
    torch.exp(matrix @ matrix).sum()
    network(torch.ones(1, 3, 224, 224)).sum().backward()

def use_and_fork():
    assert (torch.get_num_threads(), cv2.getNumThreads()) == (1, 1)
    use()
    cv2.setNumThreads(1)
    in_fork(use)

for _ in range(4):
    use()
    in_fork(use_and_fork)
assert (torch.get_num_threads(), cv2.getNumThreads()) == (2, 2)
""",
        OMP_NUM_THREADS=threads,
    )


def test_a_fork_that_loads_the_libraries_itself_has_all_threads():
    code = (
        "import os, sys, gcnface\nassert not {'torch', 'cv2'} & set(sys.modules)\nif child := os.fork():\n"
        "    sys.exit(os.waitpid(child, 0)[1])\n"
        "import torch\ntorch.rand(300, 300) @ torch.rand(300, 300)\nos._exit(torch.get_num_threads() != 3)"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "3"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False, timeout=120).returncode == 0


@pytest.mark.slow
def test_reconstruction_in_forks_equals_that_of_one_thread():
    portrait = Path(__file__).parents[2] / "data" / "face.jpg"
    python(
        f"""
def face(_=0):
    found = gcnface.reconstruct({str(portrait)!r}, texture_size=64)
    return found.mesh.vertices, found.mesh.texture

def check():
    assert all((one == other).all() for one, other in zip(face(), alone))

face()
with single_threaded():
    alone = face()
in_fork(lambda: (check(), in_fork(check)))
with multiprocessing.get_context("fork").Pool(2) as pool:
    for found in pool.map_async(face, range(2)).get(120):
        assert all((one == other).all() for one, other in zip(found, alone))
""",
        OMP_NUM_THREADS="2",
    )


@pytest.mark.slow
def test_threads_of_torch_show_in_the_last_digits_alone():
    python(
        f"""
portrait = {str(Path(__file__).parents[2] / "data" / "face.jpg")!r}
two = gcnface.reconstruct(portrait, texture_size=64)
torch.set_num_threads(1)
one = gcnface.reconstruct(portrait, texture_size=64)
again = gcnface.reconstruct(portrait, texture_size=64)
assert abs(one.mesh.vertices - two.mesh.vertices).max() < 0.01
assert abs(one.landmarks468 - two.landmarks468).max() < 0.01
assert abs(one.mesh.texture - two.mesh.texture).max() < 1.5 / 255
assert (one.mesh.texture == again.mesh.texture).all()
"""
    )


@pytest.mark.slow
def test_the_number_of_threads_and_of_workers_changes_no_byte(tmp_path):
    photos = [str(Path(__file__).parents[2] / "data" / name) for name in ("face.jpg", "glasses.jpg")]
    formats = ["--formats", "glb,obj,ply,overlay,maps", "--texture-size", "256"]
    for threads, workers in (("1", "1"), ("2", "1"), ("4", "2")):
        words = ["refine", *photos, "-o", str(tmp_path / threads), *formats, "--workers", workers]
        command = [sys.executable, "-m", "gcnface", *words]
        environment = os.environ | {"OMP_NUM_THREADS": threads}
        subprocess.run(command, env=environment, capture_output=True, check=True, timeout=240)
    files = {path.name: path.read_bytes() for path in (tmp_path / "1").iterdir()}
    assert len(files) == 16
    for threads in ("2", "4"):
        assert {path.name: path.read_bytes() for path in (tmp_path / threads).iterdir()} == files
