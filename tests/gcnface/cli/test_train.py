import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gcnface import cli
from gcnface.cli import train as train_cli
from gcnface.cli.train import PARTS, Part, parse_configuration
from gcnface.errors import FileError
from gcnface.training.configuration import keys

CONFIGS = sorted((Path(__file__).parents[3] / "configs").glob("*.yaml"))


@dataclass(frozen=True)
class Run:
    """How long.

    Attributes:
        output: folder.
        epochs: passes over the data.
    """

    output: Path
    epochs: int = 20


@dataclass(frozen=True)
class Training:
    """A configuration.

    Attributes:
        faces: folder of faces.
        rate: of learning.
        widths: of the layers.
        run: how long.
    """

    faces: Path = Path("faces")
    rate: float = 1e-3
    widths: tuple[int, ...] = (1, 2)
    run: Run = field(default_factory=lambda: Run(Path("runs/x")))

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise ValueError(f"rate is {self.rate}; expected more than 0")


def write(path, text):
    path.write_text(text)
    return str(path)


def test_defaults_then_file_then_words(tmp_path):
    assert parse_configuration(Training, "parser", []) == Training()
    config = write(tmp_path / "c.yaml", "rate: 0.5\nrun:\n  epochs: 3\n")
    words = ["--config", config, "run.epochs=7", "widths=[4, 5, 6]", "faces=/a=b"]
    found = parse_configuration(Training, "parser", words)
    assert found == Training(Path("/a=b"), 0.5, (4, 5, 6), Run(Path("runs/x"), 7))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["lr=1"], "lr"),
        (["rate=fast"], "rate"),
        (["rate=-1"], "expected more than 0"),
        (["run.epoch=1"], "run.epoch"),
        (["--config", "missing.yaml"], "missing.yaml"),
        (["surplus"], "surplus"),
    ],
)
def test_wrong_words_are_named(words, text, capsys):
    with pytest.raises(SystemExit) as caught:
        parse_configuration(Training, "parser", words)
    assert caught.value.code == 2
    assert text in capsys.readouterr().err


def test_unknown_keys_of_a_file_are_named(tmp_path, capsys):
    with pytest.raises(SystemExit):
        parse_configuration(Training, "parser", ["--config", write(tmp_path / "c.yaml", "run:\n  epoch: 3\n")])
    assert "epoch" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["train"], ["train", "nose"]])
def test_wrong_usage_is_two(words, capsys):
    assert cli.main(words) == 2
    assert f"gcnface train {{{','.join(PARTS)}}}" in "".join(capsys.readouterr())


def test_help(capsys):
    assert cli.main(["train", "-h"]) == 0
    assert "configs/regressor.yaml" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["rat=1"], "there is no key 'rat' (did you mean rate?)"),
        (["epochs=1"], "there is no key 'epochs' (did you mean run.epochs?)"),
        (["run.epoch=1"], "there is no key 'run.epoch' (did you mean run.epochs?)"),
        (["zebra=1"], "there is no key 'zebra';"),
        (["rate=fast"], "fast"),
        (["--config", "FILE"], "there is no key 'run.epoch' (did you mean run.epochs?)"),
    ],
)
def test_wrong_words_take_one_line(tmp_path, words, text, capsys):
    file = write(tmp_path / "c.yaml", "run:\n  epoch: 3\n")
    with pytest.raises(SystemExit):
        parse_configuration(Training, "parser", [file if word == "FILE" else word for word in words])
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("gcnface train parser: ")
    assert text in said


def test_a_misspelt_part_is_guessed(capsys):
    assert cli.main(["train", "regresor"]) == 2
    assert capsys.readouterr().err.endswith("'regresor' cannot be trained (did you mean regressor?)\n")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"rate: \xff\xfe", "not UTF-8"),
        (b"rate: 1\nrun: [1, 2", "not YAML"),
        (b"rate: !!python/object:os.system {}", "not YAML"),
        (b"just words", "no keys"),
        (b"run: " + b"[" * 3000, "nests more than 20 lists or mappings in line 1"),
        (b"run: " + b"[" * 300 + b"]" * 300, "nests more than 20 lists or mappings in line 1"),
        (b"faces: &a [x]\nwidths: [*a, *a]\n", "has the alias *a in line 2"),
        (b"# " + b"x" * 100_000, "more than 100000 bytes"),
    ],
)
def test_a_broken_file_is_named_in_one_line(tmp_path, monkeypatch, capsys, content, text):
    monkeypatch.setitem(train_cli.PARTS, "probe", Part(__name__, "train_probe", "a probe"))
    path = tmp_path / "c.yaml"
    path.write_bytes(content)
    assert cli.main(["train", "probe", "--config", str(path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"gcnface: {path}: ")
    assert text in said
    assert said.count("\n") == 1
    assert cli.main(["train", "probe", f"--config={path}", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_pipe_is_no_configuration(tmp_path):
    os.mkfifo(tmp_path / "c.yaml")
    with pytest.raises(FileError, match=r"c\.yaml: is a pipe, not a file"):
        parse_configuration(Training, "parser", ["--config", str(tmp_path / "c.yaml")])


@pytest.mark.parametrize("text", ["run: {epochs: null}", "run:\n  epochs:\n", "rate: null", "widths: null"])
def test_a_key_without_its_value_is_named(tmp_path, text, capsys):
    with pytest.raises(SystemExit):
        parse_configuration(Training, "parser", ["--config", write(tmp_path / "c.yaml", text)])
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(r'"(run\.epochs|rate|widths)"', said)


def test_help_needs_no_torch():
    code = "import sys, gcnface.cli.train as c; c.main(['-h']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("name", PARTS)
def test_help_explains_every_key(name, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", name, "-h"])
    assert caught.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "How many CPU threads compute. (type: int, default: 2)" in said
    assert "Learning rate" in said
    for key in keys(train_cli.configuration_type(train_cli.resolve(name, [])[0])):
        assert f"--{key} " in said
    assert not re.search(r"--\S+ [A-Z_]+ \(type", said), "a key without a sentence"


def train_probe(settings: Training) -> Path:
    if settings.rate == 0.25:
        raise FileNotFoundError("faces/photos.csv: no such file; name the folder with faces=FOLDER")
    return settings.faces / f"{settings.run.epochs}.safetensors"


def test_the_function_gets_its_configuration(monkeypatch, capsys):
    monkeypatch.setitem(train_cli.PARTS, "probe", Part(__name__, "train_probe", "a probe"))
    assert cli.main(["train", "probe", "run.epochs=4"]) == 0
    assert capsys.readouterr().out == "faces/4.safetensors\n"
    assert cli.main(["train", "probe", "rate=0.25"]) == 1
    assert capsys.readouterr().err.startswith("gcnface: faces/photos.csv: no such file")


def test_missing_packages_name_the_extra(monkeypatch, capsys):
    monkeypatch.setitem(train_cli.PARTS, "probe", Part("not_installed_anywhere", "train", "a probe"))
    assert cli.main(["train", "probe"]) == 1
    assert 'pip install "gcnface[train]"' in capsys.readouterr().err


def part_of(path):
    """The part whose name the file's name begins with."""
    return max((name for name in PARTS if path.stem.replace("_", "-").startswith(name)), key=len, default=path.stem)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_configuration_is_understood(path):
    name = part_of(path)
    assert name in PARTS, f"{path.name} must begin with the name of what it trains"
    function, configuration = train_cli.resolve(name, ["--config", str(path)])
    assert isinstance(configuration, train_cli.configuration_type(function))


def test_every_part_can_be_trained():
    assert {part_of(path) for path in CONFIGS} == set(PARTS)
