"""A user's render.py, coarse.py or refine.py gives one clear error, wherever gcnface is entered."""

import subprocess
import sys
from pathlib import Path

import pytest

import gcnface
from gcnface.system.own_packages import NAMES, check_own_packages, hidden_package

CALL = "import gcnface\ngcnface.reconstruct('photo.jpg')\n"
COMMAND = Path(sys.executable).with_name("gcnface")


def run(folder, *arguments, **environment):
    environment = {"PATH": "", "PYTHONIOENCODING": "utf-8", **environment}
    return subprocess.run(
        [str(word) for word in arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment,
        timeout=60,
    )


@pytest.fixture(params=[f"{name}{ending}" for name in NAMES for ending in (".py", "/__init__.py")])
def intruder(request, tmp_path):
    file = tmp_path / request.param
    file.parent.mkdir(exist_ok=True)
    file.write_text("colour = 'mine'\n")
    return file


def named(file):
    return str(file.parent if file.name == "__init__.py" else file)


def test_beside_a_script(intruder, tmp_path):
    (tmp_path / "mine.py").write_text(CALL)
    last = run(tmp_path, sys.executable, "mine.py").stderr.splitlines()[-1]
    assert named(intruder) in last
    assert "HiddenPackageError" in last
    assert last.endswith("rename it")


@pytest.mark.parametrize("words", [["refine", "photo.jpg", "-o", "out"], ["train", "refiner"], ["render", "x.npz"]])
def test_module_run_from_the_folder(intruder, tmp_path, words):
    result = run(tmp_path, sys.executable, "-m", "gcnface", *words)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"gcnface: {named(intruder)}: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.skipif(not COMMAND.exists(), reason="the console script is not installed beside this Python")
def test_console_script(intruder, tmp_path):
    result = run(tmp_path, COMMAND, "refine", "photo.jpg", "-o", "out", PYTHONPATH=str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.startswith(f"gcnface: {named(intruder)}: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_script_itself(name, tmp_path):
    (tmp_path / f"{name}.py").write_text(CALL)
    last = run(tmp_path, sys.executable, f"{name}.py").stderr.splitlines()[-1]
    assert str(tmp_path / f"{name}.py") in last
    assert "HiddenPackageError" in last


@pytest.mark.parametrize("name", NAMES)
def test_it_is_caught_as_either_kind_of_error(name, tmp_path):
    """Also when the module was imported before, and `gcnface.GcnfaceError` is there to catch it."""
    (tmp_path / f"{name}.py").write_text("")
    code = (
        f"import {name}, gcnface\n"
        "for kind in (gcnface.GcnfaceError, ImportError):\n"
        "    try:\n"
        "        gcnface.load('x.npz')\n"
        "    except kind as error:\n"
        "        print(error.name, isinstance(error, gcnface.GcnfaceError))\n"
        "try:\n"
        "    import gcnface.training\n"
        "except gcnface.GcnfaceError as error:\n"
        "    print('training')\n"
    )
    result = run(tmp_path, sys.executable, "-c", code)
    assert result.stdout.splitlines() == [f"{name} True", f"{name} True", "training"], result.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_plain_folder_of_that_name_is_no_hindrance(name, tmp_path):
    """Such as the folder that results were written to."""
    (tmp_path / name).mkdir()
    code = "import gcnface.system.own_packages as own\nown.check_own_packages()\nimport render.camera, coarse, refine\n"
    result = run(tmp_path, sys.executable, "-c", code)
    assert result.returncode == 0, result.stderr


def test_nothing_is_hidden_here():
    assert hidden_package() is None
    check_own_packages()


def test_a_module_in_their_place(monkeypatch, tmp_path):
    module = type(sys)("coarse")
    module.__file__ = str(tmp_path / "coarse.py")
    monkeypatch.setitem(sys.modules, "coarse", module)
    with pytest.raises(gcnface.GcnfaceError, match=r"coarse\.py: this file hides .*'coarse'; rename it"):
        check_own_packages()
