import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gcnface import cli
from gcnface.cli import train as train_cli
from gcnface.cli.train import TRAINABLES, Trainable, prepared
from gcnface.errors import FileError
from tests.gcnface.small_training import PART, QUICK, SmallData, SmallSettings

pytestmark = pytest.mark.usefixtures("quiet_training")

CONFIGS = sorted((Path(__file__).parents[3] / "configs").glob("*.yaml"))


@pytest.fixture(autouse=True)
def _small(monkeypatch, tmp_path):
    monkeypatch.setitem(train_cli.TRAINABLES, "small", PART)
    monkeypatch.chdir(tmp_path)


def write(path, text):
    path.write_text(text)
    return str(path)


def test_defaults_then_file_then_words(tmp_path):
    assert prepared("small", []).model.settings == SmallSettings()
    config = write(tmp_path / "c.yaml", "model:\n  rate: 0.5\ntrainer:\n  max_epochs: 3\n")
    words = ["--config", config, "trainer.max_epochs=7", "--model.widths=[4, 5, 6]", "--model.folder", "/a=b"]
    run = prepared("small", words)
    assert run.model.settings == SmallSettings(rate=0.5, widths=(4, 5, 6), folder=Path("/a=b"))
    assert run.trainer.max_epochs == 7
    assert run.trainer.default_root_dir == "runs/small"
    mapping = {"model": {"rate": 0.5}, "trainer": {"max_epochs": 7}}
    assert prepared("small", mapping).model.settings.rate == 0.5


@pytest.mark.parametrize("word", ["null", ""])
def test_a_run_without_a_folder_has_its_usual_one(word):
    run = prepared("small", [f"trainer.default_root_dir={word}", *QUICK])
    run.fit()
    assert [path.name for path in Path().iterdir()] == ["runs"]
    assert run.root == Path("runs/small")
    assert (run.root / "small.safetensors").exists()


def test_every_argument_of_the_trainer_has_its_name():
    """All at once; what each does is Lightning's affair."""
    words = [
        *("max_steps=10", "max_epochs=3", "min_epochs=1", "limit_train_batches=0.5", "limit_val_batches=1"),
        *("check_val_every_n_epoch=2", "gradient_clip_val=0.5", "num_nodes=1", "precision=64-true", "accelerator=cpu"),
        *("devices=1", "strategy=auto", "accumulate_grad_batches=2", "profiler=simple", "deterministic=true"),
        *("log_every_n_steps=3", "detect_anomaly=true", "enable_model_summary=false", "max_time=00:01:00:00"),
    ]
    run = prepared("small", [f"--trainer.{word}" for word in words])
    trainer = run.trainer
    assert (trainer.max_steps, trainer.max_epochs, trainer.limit_train_batches) == (10, 3, 0.5)
    assert (trainer.accumulate_grad_batches, trainer.gradient_clip_val, trainer.precision) == (2, 0.5, "64-true")
    assert (trainer.check_val_every_n_epoch, trainer.log_every_n_steps) == (2, 3)
    assert type(trainer.profiler).__name__ == "SimpleProfiler"


def test_the_command_of_the_documentation(tmp_path):
    """Ten steps of the shipped configuration; nothing is loaded before the keys are known to be right."""
    words = ["--config", str(next(p for p in CONFIGS if p.stem == "refiner"))]
    run = prepared("refiner", [*words, "--trainer.max_steps", "10", "--data.batch_size", "8"])
    assert run.trainer.max_steps == 10
    assert run.datamodule.settings.batch_size == 8
    assert run.trainer.precision == "bf16-mixed"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["model.lr=1"], "model.lr"),
        (["model.rate=fast"], "rate"),
        (["model.rate=-1"], "expected more than 0"),
        (["trainer.max_epoch=1"], "trainer.max_epoch"),
        (["--config", "missing.yaml"], "missing.yaml"),
        (["surplus"], "surplus"),
        (["model.rat=1"], "there is no key 'model.rat' (did you mean model.rate?)"),
        (["rate=1"], "there is no key 'rate' (did you mean model.rate?)"),
        (["epochs=1"], "there is no key 'epochs' (did you mean trainer.max_epochs?)"),
        (["batch_size=1"], "there is no key 'batch_size' (did you mean data.batch_size?)"),
        (["--trainer.max_epoch", "1"], "there is no key 'trainer.max_epoch' (did you mean trainer.max_epochs?)"),
        (["zebra=1"], "there is no key 'zebra';"),
        (["--config", "FILE"], "there is no key 'trainer.epochs' (did you mean trainer.max_epochs?)"),
    ],
)
def test_wrong_words_take_one_line_and_status_two(tmp_path, words, text, capsys):
    file = write(tmp_path / "c.yaml", "trainer:\n  epochs: 3\n")
    with pytest.raises(SystemExit) as caught:
        prepared("small", [file if word == "FILE" else word for word in words])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("gcnface train small: ")
    assert text in said


@pytest.mark.parametrize("words", [["train"], ["train", "nose"]])
def test_wrong_usage_is_two(words, capsys):
    assert cli.main(words) == 2
    assert f"gcnface train {{{','.join(TRAINABLES)}}}" in "".join(capsys.readouterr())


def test_help(capsys):
    assert cli.main(["train", "-h"]) == 0
    assert "configs/regressor.yaml" in capsys.readouterr().out


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
def test_a_broken_file_is_named_in_one_line(tmp_path, capsys, content, text):
    path = tmp_path / "c.yaml"
    path.write_bytes(content)
    assert cli.main(["train", "small", "--config", str(path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"gcnface: {path}: ")
    assert text in said
    assert said.count("\n") == 1
    assert cli.main(["train", "small", f"--config={path}", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_pipe_is_no_configuration(tmp_path):
    os.mkfifo(tmp_path / "c.yaml")
    with pytest.raises(FileError, match=r"c\.yaml: is a pipe, not a file"):
        prepared("small", ["--config", str(tmp_path / "c.yaml")])


@pytest.mark.parametrize("text", ["model: {rate: null}", "model:\n  rate:\n", "threads: null", "model: {widths: null}"])
def test_a_key_without_its_value_is_named(tmp_path, text, capsys):
    with pytest.raises(SystemExit):
        prepared("small", ["--config", write(tmp_path / "c.yaml", text)])
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(r'"(model\.rate|threads|model\.widths)"', said)


def test_help_needs_no_torch():
    code = "import sys, gcnface.cli.train as c; c.main(['-h']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("name", [name for name in TRAINABLES if name != "small"])
def test_help_explains_every_key(name, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", name, "-h"])
    assert caught.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    for key in ("threads", "trainer.max_steps", "model.learning_rate", "data.batch_size", "data.num_workers"):
        assert f"--{key} " in said
    assert "How many CPU threads compute. (type: int, default: 2)" in said
    assert "Stop training after this number of steps." in said
    own = said[said.index("--model CONFIG") :]
    assert not re.search(r"--(model|data)\.\S+ (?!CONFIG)(\{\S+\}|\S+) \(type", own), "a key without a sentence"


def test_the_resolved_configuration_can_be_printed_and_read(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", "small", "model.rate=0.25", "--print_config"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed)["model"]["rate"] == 0.25
    assert prepared("small", ["--config", write(tmp_path / "c.yaml", printed)]).model.settings.rate == 0.25


def test_a_run_prints_its_weights_and_failures_take_one_line(tmp_path, monkeypatch, capsys):
    words = ["train", "small", *QUICK, "trainer.max_epochs=1", "trainer.enable_progress_bar=false"]
    assert cli.main([*words, "trainer.enable_model_summary=false"]) == 0
    assert capsys.readouterr().out == "runs/small/small.safetensors\n"

    def missing(data):
        raise FileNotFoundError("faces/photos.csv: no such file; name the folder with data.faces=FOLDER")

    monkeypatch.setattr(SmallData, "datasets", missing)
    assert cli.main([*words, "ckpt_path=null"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("gcnface: faces/photos.csv: no such file")


def test_missing_packages_name_the_extra(monkeypatch, capsys):
    monkeypatch.setitem(
        train_cli.TRAINABLES, "probe", Trainable("not_installed_anywhere:A", "not_installed_anywhere:B", "x")
    )
    assert cli.main(["train", "probe"]) == 1
    assert 'pip install "gcnface[train]"' in capsys.readouterr().err


def part_of(path):
    """The part whose name the file's name begins with."""
    return max(
        (name for name in TRAINABLES if path.stem.replace("_", "-").startswith(name)), key=len, default=path.stem
    )


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_configuration_is_understood(path, monkeypatch, capsys):
    name = part_of(path)
    assert name in TRAINABLES, f"{path.name} must begin with the name of what it trains"
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", name, "--config", str(path), "--print_config"])
    assert caught.value.code == 0
    resolved, written = yaml.safe_load(capsys.readouterr().out), yaml.safe_load(path.read_text())
    assert contains(resolved, written)


def contains(whole, part):
    if not isinstance(part, dict):
        return whole == part
    return all(contains(whole[key], value) for key, value in part.items())


def test_every_part_can_be_trained():
    assert {part_of(path) for path in CONFIGS} | {"small"} == set(TRAINABLES)
