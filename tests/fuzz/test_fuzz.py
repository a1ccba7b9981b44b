"""A part of the hostile inputs in every run of the tests; `make fuzz` tries all."""

import importlib.util
import os
import signal
import time

import pytest

from tests.fuzz import runner as runner_module
from tests.fuzz import trial
from tests.fuzz.case import REFUSE, SUCCEED, Case, Input, Shelf
from tests.fuzz.corpus import find
from tests.fuzz.runner import Runner

PICKED = """
pictures/mode_RGB.jpg pictures/mode_CMYK.tif pictures/mode_I16.png pictures/orientation_6.jpg pictures/exif_loop.jpg
pictures/float_one_nan.tif pictures/float_all_nan.tif pictures/float_minus_inf.tif pictures/rgb_float_nan.tif
pictures/cut_0.jpg pictures/cut_1.png pictures/cut_2.webp pictures/flipped_head_0.tif pictures/flipped_body_1.jpg
pictures/size_60000.png pictures/size_65500.jpg pictures/folder_loop.tif pictures/strips_4294967295.tif
pictures/postscript_endless_called.jpg pictures/postscript_writes_called.jpg pictures/postscript_with_preview_called.jpg
pictures/svg_laughs_called.jpg pictures/pickle_called.jpg pictures/empty_called.jpg pictures/no_face_page.png
pictures/pipe pictures/socket pictures/dev_zero pictures/dev_full pictures/link_loop pictures/folder pictures/empty_path
pictures/zero_byte_in_path pictures/name_of_4000 pictures/name_of_broken_escape pictures/name_of_broken_newline
pictures/name_of_broken_not_unicode pictures/side_11.jpg
results/whole.npz results/nan_in_vertices.npz results/inf_in_lighting.npz results/pickle_in_vertices.npz
results/faces_wrapping.npz results/metadata_deep.npz results/claims_terabytes.npz results/header_calls.npz
results/encrypted.npz results/method_99.npz results/cut_0.npz results/special_pipe results/without_faces.npz
weights/refiner_cut weights/refiner_nan weights/refiner_torch_code weights/facenet_pickled_code weights/special_pipe
words/refine_photo_empty words/refine_device_cuda_7 words/refine_name_of_broken_escape words/render_nan_in_uv.npz
words/light_deep words/align_pipe
arrays/strided arrays/nan arrays/two_rows_of_20000 arrays/person_nobody
""".split()
NEEDS_TRAINING = "configs/yaml_not_unicode configs/yaml_python_object configs/regressor_trainer.max_epochs=-3".split()
if importlib.util.find_spec("lightning") is not None:
    PICKED += NEEDS_TRAINING


@pytest.fixture(scope="module")
def runner():
    with Runner() as running:
        yield running


@pytest.mark.parametrize("key", PICKED)
def test_hostile_input(key, runner):
    outcome = runner.tried(find(key))
    assert not outcome.problems, f"python -m tests.fuzz --only '{key}': {'; '.join(outcome.problems)}"


WRONG = Shelf("pictures")
"""Inputs and expectations that a trial must find fault with."""
WRONG.add("refused", SUCCEED, find("pictures/missing").make)
WRONG.cases.append(Case("weights", "succeeds", REFUSE, find("weights/skin_tone_whole").make))
WRONG.add("unnamed", REFUSE, lambda folder, rng: Input(folder / "missing.jpg", "another.jpg"))
FAULTS = {"refused": "must succeed", "succeeds": "must be refused", "unnamed": "does not name 'another.jpg'"}


@pytest.mark.parametrize("case", WRONG.cases, ids=lambda case: case.name)
def test_what_is_wrong_is_seen(case, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path)
    outcome = trial.tried(case, 0, tmp_path / "input", tmp_path / "temporary")
    assert any(FAULTS[case.name] in problem for problem in outcome.problems)


def lay_and_hang(pipe, seed, scratch):
    """Stands for a process whose inputs hang, and then die."""
    pipe.send("ready")
    if pipe.recv() == "pictures/missing":
        time.sleep(99)
    os.kill(os.getpid(), signal.SIGSEGV)


def test_a_hang_and_a_death_are_seen_and_the_next_input_is_tried(monkeypatch):
    monkeypatch.setattr(runner_module, "serve", lay_and_hang)
    monkeypatch.setattr(runner_module, "FIRST_S", 1.0)
    with Runner() as running:
        assert "hangs" in running.tried(find("pictures/missing")).problems[0]
        assert "died with -11" in running.tried(find("pictures/dot")).problems[0]
