import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gcnface import cli
from gcnface.batch import refine as refine_command
from gcnface.batch.refine import refine
from gcnface.cli.program import status_of
from gcnface.errors import GcnfaceError
from gcnface.options import RefineOptions
from tests.gcnface.results import make_reconstruction


class FakeReconstructor:
    """Finds as many faces as the photo is hundreds of pixels wide; 666 px are too much for it."""

    made = 0

    def __init__(self, how):
        self.how = how
        FakeReconstructor.made += 1

    def __call__(self, photo, *, on_stage=None):
        width = photo.shape[1]
        if width == 666:
            raise RuntimeError("first line\nsecond line")
        for stage in ("detect", "bake"):
            on_stage(stage)
        return [make_reconstruction()] * (width // 100 if self.how.all_faces else min(width // 100, 1))


@pytest.fixture
def photos(tmp_path):
    FakeReconstructor.made = 0
    folder = tmp_path / "photos"
    folder.mkdir()

    def make(name, width=120):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((40, width, 3), 99, np.uint8)).save(folder / name)
        return str(folder / name)

    return make


def run(arguments, output, *, formats=("json",), make=FakeReconstructor, **options):
    wanted = RefineOptions(photos=arguments, output=output, formats=formats, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refine_command, "load_reconstructor", make)
        return status_of(refine, wanted)


def test_files_and_one_line_a_face(photos, tmp_path, capsys):
    assert run([photos("a.png"), photos("b.png")], tmp_path / "out", formats=("glb", "json")) == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["a.glb", "a.json", "b.glb", "b.json"]
    out, err = capsys.readouterr()
    assert [line.split(" -> ")[0][-5:] for line in out.splitlines()] == ["a.png", "b.png"]
    assert not err
    assert FakeReconstructor.made == 1


def test_quiet(photos, tmp_path, capsys):
    assert run([photos("a.png")], tmp_path / "out", quiet=True) == 0
    assert capsys.readouterr() == ("", "")


def test_all_faces(photos, tmp_path):
    assert run([photos("a.png", 350)], tmp_path / "out", all_faces=True) == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["a.json", "a_face2.json", "a_face3.json"]


def test_equal_stems_do_not_overwrite_each_other(photos, tmp_path):
    assert run([photos("a.png"), photos("sub/a.png"), photos("a.jpg")], tmp_path / "out") == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["a.json", "a_2.json", "a_3.json"]


def test_results_beside_the_photo_leave_the_photo_alone(photos, tmp_path):
    path = Path(photos("a.png"))
    before = path.read_bytes()
    assert run([str(path)], path.parent, formats=("obj",)) == 0
    assert path.read_bytes() == before
    assert sorted(os.listdir(path.parent)) == ["a.png", "a_2.mtl", "a_2.obj", "a_2.png"]


def test_one_photo_s_failure_is_not_another_s(photos, tmp_path, capsys):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    wrong = [str(tmp_path / "missing.jpg"), str(broken), photos("nobody.png", 50), photos("bug.png", 666)]
    assert run([wrong[0], photos("a.png"), *wrong[1:], photos("b.png")], tmp_path / "out") == 1
    assert sorted(os.listdir(tmp_path / "out")) == ["a.json", "b.json"]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    for line, path in zip(lines, wrong, strict=True):
        assert line.startswith(f"gcnface: {path}: ")
    assert "RuntimeError: first line second line" in lines[3]


def test_debug_shows_the_trace(photos, tmp_path, capsys):
    assert run([photos("bug.png", 666)], tmp_path / "out", debug=True) == 1
    assert "Traceback" in capsys.readouterr().err


def test_nothing_readable_loads_no_network(tmp_path, capsys):
    def must_not(how):
        pytest.fail("the networks were loaded")

    assert run([str(tmp_path / "missing.jpg")], tmp_path / "out", make=must_not) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_no_folder(photos, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for target in (tmp_path / "file", tmp_path / "file" / "out"):
        assert run([photos("a.png")], target) == 1
        line = capsys.readouterr().err
        assert line.startswith(f"gcnface: {target}: cannot be written to")
        assert line.count("\n") == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_writes_nothing_leaves_no_folder(photos, tmp_path, workers):
    def fail(how):
        raise GcnfaceError("weights: missing")

    target = tmp_path / "new" / "out"
    assert run([photos("a.png", 50), photos("b.png", 50)], target, workers=workers) == 1
    assert run([photos("a.png", 50), photos("b.png", 50)], target, make=fail, workers=workers) == 1
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    assert run([photos("a.png", 50)], tmp_path / "old", workers=workers) == 1
    assert (tmp_path / "old").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_what_cannot_be_written_names_the_photo_and_the_reason(photos, tmp_path, capsys, workers):
    long = photos("x" * 251 + ".png")
    assert run([long, photos("a.png")], tmp_path / "out", workers=workers) == 1
    line = capsys.readouterr().err
    assert line.startswith(f"gcnface: {long}: {tmp_path / 'out'}")
    assert "File name too long" in line
    assert "shorter name" in line
    assert line.count("\n") == 1
    assert os.listdir(tmp_path / "out") == ["a.json"]


LIBRARY = ImportError("libGL.so.1: cannot open shared object file: No such file or directory")


@pytest.mark.parametrize("error", [GcnfaceError("weights: missing"), RuntimeError("no CUDA"), LIBRARY])
def test_networks_that_cannot_be_loaded_are_told_once(photos, tmp_path, capsys, error):
    def fail(how):
        raise error

    assert run([photos("a.png"), photos("b.png")], tmp_path / "out", make=fail) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "networks cannot be loaded" in line
    assert ("apt install" in line) == (error is LIBRARY)


def test_a_write_that_fails_leaves_nothing(photos, tmp_path, capsys):
    (tmp_path / "out" / "a.glb").mkdir(parents=True)
    assert run([photos("a.png"), photos("b.png")], tmp_path / "out", formats=("glb",)) == 1
    assert sorted(os.listdir(tmp_path / "out")) == ["a.glb", "b.glb"]
    assert not list((tmp_path / "out" / "a.glb").iterdir())


def test_arguments_reach_the_options(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(refine_command, "refine", lambda options: seen.append(options) or 0)
    monkeypatch.setattr("render.devices.resolve_device", torch.device)
    words = "refine a.jpg b -o out --formats GLB,npz,glb --all-faces --device cuda:1 --adapt 7 --no-fit"
    assert cli.main([*words.split(), "--texture-size", "512", "-q", "--debug"]) == 0
    how = {"all_faces": True, "device": "cuda:1", "fit": False, "adapt": 7, "texture_size": 512}
    what = {"photos": ("a.jpg", "b"), "output": Path("out"), "formats": ("glb", "npz")}
    assert seen == [RefineOptions(**what, **how, quiet=True, debug=True)]


@pytest.mark.parametrize(
    "words",
    [
        "refine",
        "refine a.jpg",
        "refine -o out",
        "refine a.jpg -o out --formats stl",
        "refine a.jpg -o out --formats ,",
        "refine a.jpg -o out --device tpu",
        "refine a.jpg -o out --adapt -1",
        "refine a.jpg -o out --texture-size 10",
        "paint a.jpg",
    ],
)
def test_wrong_usage_is_two(words, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(words.split())
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: gcnface")


def test_no_command_shows_the_help(capsys):
    assert cli.main([]) == 2
    assert "refine" in capsys.readouterr().out


def test_interrupt(monkeypatch, capsys):
    def interrupted(options):
        raise KeyboardInterrupt

    monkeypatch.setattr(refine_command, "refine", interrupted)
    assert cli.main(["refine", "a.jpg", "-o", "out"]) == 130
    assert capsys.readouterr().err == "gcnface: interrupted\n"


def test_an_interrupt_that_a_library_makes_an_error_of_is_one(monkeypatch, capsys):
    def half_imported(options):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("the library is broken") from None

    monkeypatch.setattr(refine_command, "refine", half_imported)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert cli.main(["refine", "a.jpg", "-o", "out"]) == 130
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "gcnface: interrupted\n"


def python(code, **options):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)


def test_help_and_import_load_nothing_heavy():
    code = (
        "import sys, gcnface, gcnface.cli.program\n"
        "try: gcnface.cli.program.main(['refine', '-h'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'PIL', 'cv2', 'rich', 'trimesh', 'scipy'} & set(sys.modules)\n"
        "sys.exit(f'{heavy} imported' if heavy else 0)"
    )
    result = python(code)
    assert result.returncode == 0, result.stderr
    assert "examples:" in result.stdout


def test_termination_leaves_nothing_half_written(tmp_path):
    code = (
        "import time\nfrom pathlib import Path\n"
        "from gcnface import cli\nfrom gcnface.batch import refine as refine_command\n"
        "from gcnface.io.atomic import staged\n"
        "def slow(options):\n"
        "    with staged(options.output) as stage:\n"
        "        (stage / 'half').write_text('x'); print('ready', flush=True); time.sleep(60)\n"
        "refine_command.refine = slow\n"
        f"cli.main(['refine', 'a.jpg', '-o', {str(tmp_path / 'out')!r}])"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        begin = time.monotonic()
        assert process.wait(timeout=30) == 143
    assert time.monotonic() - begin < 30
    assert not (tmp_path / "out").exists()


SCRIPT = re.search(r'^gcnface = "(.*):(.*)"$', (Path(cli.__file__).parents[2] / "pyproject.toml").read_text(), re.M)


@pytest.mark.parametrize(
    "entry",
    [
        "runpy.run_module('gcnface', run_name='__main__', alter_sys=True)",
        f"from {SCRIPT[1]} import {SCRIPT[2]}; sys.exit({SCRIPT[2]}())",
    ],
)
def test_ctrl_c_before_the_command_has_begun_is_silent(entry):
    code = (
        "import os, runpy, signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class CtrlC:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'gcnface.cli.program': os.kill(os.getpid(), signal.SIGINT); time.sleep(5)\n"
        "sys.meta_path.insert(0, CtrlC())\n"
        f"{entry}"
    )
    result = python(code)
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "")


def test_a_current_folder_that_is_gone_is_one_line(tmp_path):
    code = f"import os; os.mkdir({str(tmp_path / 'x')!r}); os.chdir({str(tmp_path / 'x')!r}); os.rmdir('../x')"
    code += "; from gcnface.cli.program import main; raise SystemExit(main(['refine', 'a.jpg', '-o', '/tmp/never']))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 1
    assert result.stderr == "gcnface: the current folder is no longer there; change to another (cd)\n"
