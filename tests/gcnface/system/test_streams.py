"""The command line with streams that are closed, full, or left by their reader, and with names that would be obeyed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gcnface import cli
from gcnface.batch import refine as refine_command
from gcnface.batch.loop import Written, work_through
from gcnface.batch.progress import Reporter
from gcnface.preparing.dataset import Report
from gcnface.preparing.faces import Drop
from tests.gcnface.batch.batch_stubs import TEXT

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a shell and /dev")

NASTY = "a\x1b[31m\nb"
"""Part of a file name that would colour the terminal and break the line."""

STUB = """
import sys
from gcnface.batch import refine
from gcnface.batch.loop import work_through
from gcnface.__main__ import main
from tests.gcnface.batch.batch_stubs import TEXT, load_two

refine.refine = lambda options: work_through(options, TEXT, load_two)
sys.exit(main())
"""


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in "abcdef":
        Image.fromarray(np.full((9, 9, 3), 99, np.uint8)).save(folder / f"{name}.png")
    return folder


def refine(tmp_path, *words, shell='exec "$@"', **streams):
    """The command with a stub for work, by way of a shell that sets up its streams."""
    command = ["sh", "-c", shell, "sh", sys.executable, "-c", STUB, "refine", *map(str, words), "-o", "out"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, **streams)


def written(tmp_path):
    return sorted(os.listdir(tmp_path / "out"))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_reader_that_leaves_ends_the_run_after_the_photos_in_hand(photos, tmp_path, workers):
    for name in "ghijkl":  # four photos may be in the hands of two workers
        shutil.copy(photos / "a.png", photos / f"{name}.png")
    with refine(tmp_path, photos, "--workers", workers, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 141
    names = written(tmp_path)
    assert {"a.txt", "a_face2.txt"} <= set(names), "the photo in hand is finished"
    assert "l.txt" not in names
    assert len(names) % 2 == 0, "all faces of a photo or none"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_stdout_is_no_photo_s_fault(photos, tmp_path, workers):
    with open("/dev/full", "w") as full, refine(tmp_path, photos, "--workers", workers, stdout=full) as process:
        err = process.stderr.read()
        assert process.wait(60) == 1
    assert re.fullmatch(r"gcnface: results cannot be listed on stdout \(No space left on device\); .*\n", err)
    assert len(written(tmp_path)) == 12


@pytest.mark.parametrize("shell", ['exec "$@" >&-', 'exec "$@" 2>&-', 'exec "$@" >&- 2>&-', 'exec "$@" <&- >&- 2>&-'])
def test_closed_streams_are_harmless(photos, tmp_path, shell):
    with refine(tmp_path, photos / "a.png", photos / "b.png", shell=shell, stdout=subprocess.PIPE) as process:
        assert process.stderr.read() == ""
        assert process.wait(60) == 0
    assert len(written(tmp_path)) == 4


def test_a_full_stderr_costs_the_message_alone(photos, tmp_path):
    (photos / "b.png").write_bytes(b"no picture")
    with refine(tmp_path, photos, "missing.jpg", shell='exec "$@" 2>/dev/full', stdout=subprocess.PIPE) as process:
        process.stdout.read()
        assert process.wait(60) == 1
    assert len(written(tmp_path)) == 10


@pytest.mark.parametrize("words", [["--version"], ["refine", "-h"], []])
@pytest.mark.parametrize(("target", "status"), [("/dev/full", 1), ("pipe", 141)])
def test_help_to_nobody(words, target, status):
    begin = f"import sys; sys.argv[1:] = {words}; "
    command = [sys.executable, "-c", f"{begin}from gcnface.__main__ import main; sys.exit(main())"]
    if target == "pipe":
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open(target, os.O_WRONLY)
    result = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    os.close(writer)
    assert result.returncode == (status if words or target == "pipe" else 2)
    assert result.stderr.count("\n") == (target != "pipe")


def safe(text):
    return all(letter.isprintable() or letter == "\n" for letter in text)


def test_names_are_shown_and_not_obeyed(photos, tmp_path, capsys, monkeypatch):
    good, bad = photos / f"{NASTY}.png", photos / f"{NASTY}_bad.png"
    (photos / "a.png").rename(good)
    bad.write_bytes(b"no picture")

    def run(options):
        def work(photo, on_stage):
            if photo.path != good:
                raise RuntimeError(f"{photo.path} has a fault")
            return [lambda folder, name: Written("txt")]

        return work_through(options, TEXT, lambda: work)

    monkeypatch.setattr(refine_command, "refine", run)
    words = [str(good), str(bad), str(photos / "b.png"), str(tmp_path / NASTY)]
    assert cli.main(["refine", *words, "--debug", "-o", str(tmp_path / f"{NASTY}_out")]) == 1
    out, err = capsys.readouterr()
    assert safe(out)
    assert safe(err)
    assert out.count("\n") == 1
    assert out.count(r"a\x1b[31m\nb") == 2
    assert sum(line.startswith("gcnface: ") for line in err.splitlines()) == 3
    for words in (["refine", "--formats", NASTY], ["refine", f"--{NASTY}"], [NASTY]):
        with pytest.raises(SystemExit):
            cli.main([*words, "-o", "x"] if words[0] == "refine" else words)
        err = capsys.readouterr().err
        assert safe(err)
        assert len(err.splitlines()[-1]) > 20


def test_summary_warnings_and_bar(capsys):
    report = Report(1, 0, 1, "stored", "shipped", True, {"no face": 1}, [Drop(f"{NASTY}.png", "no face", NASTY)], 1.0)
    text = report.text(NASTY)
    assert safe(text)
    assert text.count("\n") == 3
    shown = {}

    class Bar:
        def update(self, task, **fields):
            shown.update(fields)

    reporter = Reporter(1)
    reporter.warning(f"{NASTY} is odd")
    reporter.result(f"{NASTY} -> {NASTY}")
    reporter._bar, reporter._stages, reporter._task = Bar(), 1, 0
    reporter.photo(Path(NASTY))
    out, err = capsys.readouterr()
    assert safe(shown["photo"])
    assert "\n" not in shown["photo"]
    assert safe(out + err)
    assert (out + err).count("\n") == 2
