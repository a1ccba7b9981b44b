"""Configurations and checkpoints of trainings, and data sets that are broken."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.fuzz.case import EITHER, REFUSE, SUCCEED, Expect, Input, Random, Shelf
from tests.fuzz.special_files import SPECIAL
from tests.fuzz.weights import DAMAGES, SHIPPED, torch_zip
from tests.fuzz.words import Words

CONFIGS = Shelf("configs")
"""Read by the real command line; what would train then gives up without training."""

CHECKPOINTS = Shelf("checkpoints")
"""Trainings on a tiny data set, which stands where the words say {data}."""

PARTS = ("parser", "regressor", "identity", "confidence", "position-map", "refiner", "stn")


def _config(part: str, content: bytes, folder: Path, rng: Random) -> Input:
    (folder / "c.yaml").write_bytes(content)
    return Input(Words("train", part, "--config", str(folder / "c.yaml")))


_ALIASES = "a0: &a0 [x]\n" + "".join(f"a{k + 1}: &a{k + 1} [{', '.join([f'*a{k}'] * 9)}]\n" for k in range(9))
_YAMLS: dict[str, tuple[Expect, bytes]] = {
    "empty": (EITHER, b""),
    "comment": (EITHER, b"# nothing\n"),
    "plain": (SUCCEED, b"run:\n  epochs: 3\n"),
    "not_unicode": (REFUSE, b"\xff\xfe\x80run:\n"),
    "latin": (REFUSE, b"run:\n  output: caf\xe9\n"),
    "zero_bytes": (REFUSE, bytes(100)),
    "tab": (REFUSE, b"run:\n\tepochs: 3\n"),
    "unclosed": (REFUSE, b"run: {epochs: 3\n"),
    "colon": (REFUSE, b"run: epochs: 3\n"),
    "python_object": (REFUSE, b"run: !!python/object/apply:builtins.open [executed, w]\n"),
    "python_name": (REFUSE, b"run: !!python/name:os.system\n"),
    "unknown_tag": (REFUSE, b"run: !thing {epochs: 3}\n"),
    "alias_bomb": (REFUSE, _ALIASES.encode()),
    "alias_to_itself": (REFUSE, b"run: &r\n  output: *r\n"),
    "alias_unknown": (REFUSE, b"run: *nothing\n"),
    "deep": (REFUSE, b"run: " + b"[" * 3000),
    "deep_and_closed": (REFUSE, b"run: " + b"[" * 300 + b"]" * 300),
    "list": (REFUSE, b"- run\n- epochs\n"),
    "number": (REFUSE, b"7\n"),
    "text": (REFUSE, b"just words\n"),
    "two_documents": (REFUSE, b"run:\n  epochs: 3\n---\nrun:\n  epochs: 4\n"),
    "key_unknown": (REFUSE, b"runs:\n  epochs: 3\n"),
    "inner_key_unknown": (REFUSE, b"run:\n  epoch: 3\n"),
    "key_of_control": (REFUSE, b'"\\e[31mred": 1\n'),
    "key_twice": (EITHER, b"run:\n  epochs: 3\nrun:\n  epochs: 4\n"),
    "section_as_number": (REFUSE, b"run: 7\n"),
    "section_null": (EITHER, b"run: null\n"),
    "epochs_text": (REFUSE, b"run:\n  epochs: many\n"),
    "epochs_list": (REFUSE, b"run:\n  epochs: [3]\n"),
    "epochs_float": (REFUSE, b"run:\n  epochs: 2.5\n"),
    "epochs_null": (REFUSE, b"run:\n  epochs: null\n"),
    "epochs_huge": (EITHER, b"run:\n  epochs: 999999999999999999999999\n"),
    "html": (REFUSE, b"<!DOCTYPE html>\n<html>404</html>\n"),
    "json": (SUCCEED, b'{"run": {"epochs": 3}}'),
}
for _name, (_what, _content) in _YAMLS.items():
    CONFIGS.add(f"yaml_{_name}", _what, partial(_config, "regressor", _content))
for _part in PARTS:
    CONFIGS.add(f"{_part}_plain", SUCCEED, partial(_config, _part, b"run:\n  output: somewhere\n"))
    CONFIGS.add(f"{_part}_key_unknown", REFUSE, partial(_config, _part, b"nose: 3\n"))


def _special_config(lay: Callable[[Path], None], folder: Path, rng: Random) -> Input:
    lay(folder / "c.yaml")
    return Input(Words("train", "refiner", "--config", str(folder / "c.yaml")), "c.yaml")


for _name in ("folder", "link_to_itself", "dangling_link", "pipe", "socket"):
    CONFIGS.add(f"special_{_name}", REFUSE, partial(_special_config, SPECIAL[_name]))

_NEGATIVE = {
    "regressor": (
        "run.epochs=-3", "run.threads=0", "run.threads=-1", "batch_size=0", "batch_size=-1", "rendered=-1",
        "learning_rate=-1", "learning_rate=nan", "learning_rate=inf", "run.gradient_clip=-1", "run.check_every=0",
        "run.check_every=-1", "run.patience=-1", "run.nodes=0", "run.seed=-1", "run.devices=-7",
        "run.monitor_mode=middle",
        "backbone=huge", "run.output=", "data=", "weight_decay=nan", "run.epochs=", "run.epochs=1e3",
        "run.resume=maybe",
    ),
    "refiner": (
        "batch_size=0", "drawn_every=0", "average=2", "rate=fast", "faces_an_epoch=-1", "critic.steps=0",
        "critic.learning_rate=-1", "learning_rate=nan", "run.epochs=-1", "critic.network.side=7000",
    ),
}  # fmt: skip
for _part, _listed in _NEGATIVE.items():
    for _word in _listed:
        CONFIGS.add(
            f"{_part}_{_word.replace('/', '_')}",
            REFUSE if _word not in ("run.epochs=1e3", "run.output=", "data=") else EITHER,
            lambda folder, rng, words=("train", _part, _word): Input(
                Words(*words), words[-1].split("=")[0].split(".")[-1]
            ),
        )
for _name, _words in {
    "nothing": (),
    "part_unknown": ("nose",),
    "part_empty": ("",),
    "part_of_control": ("\x1b[31mred\n",),
    "word_empty": ("refiner", ""),
    "word_alone": ("refiner", "epochs"),
    "equals_alone": ("refiner", "="),
    "key_missing": ("refiner", "=3"),
    "dash": ("refiner", "-"),
    "dashes": ("refiner", "--"),
    "option_unknown": ("refiner", "--nose", "3"),
    "config_alone": ("refiner", "--config"),
    "config_missing": ("refiner", "--config", "missing.yaml"),
    "config_empty": ("refiner", "--config", ""),
    "config_inline_code": ("refiner", "--config", "!!python/object/apply:os.system ['touch executed']"),
    "value_of_control": ("refiner", "run.epochs=\x1b[31m\n7"),
    "value_not_unicode": ("refiner", "run.epochs=\udce9"),
    "value_code": ("refiner", "run.epochs=!!python/object/apply:builtins.open [executed, w]"),
}.items():
    CONFIGS.add(f"words_{_name}", REFUSE, lambda folder, rng, words=_words: Input(Words("train", *words)))

_TRAIN = {
    "regressor": ("rendered=0", "batch_size=4"),
    "refiner": ("drawn_faces=0", "faces_an_epoch=2", "run.pictures_every=0"),
}
_RUN = ("run.output=run", "run.tensorboard=false", "run.precision=32-true", "run.threads=1", "run.epochs=1")


def _train(part: str, *words: str) -> Words:
    data = () if any(word.startswith("data=") for word in words) else ("data={data}",)
    return Words("train", part, *data, *_TRAIN[part], *_RUN, *words)


def _checkpoint(part: str, content: bytes | None, folder: Path, rng: Random) -> Input:
    (folder / "run").mkdir()
    if content is None:
        (folder / "run" / "last.ckpt").mkdir()
    else:
        (folder / "run" / "last.ckpt").write_bytes(content)
    return Input(_train(part), "last.ckpt")


def _start(part: str, content: bytes | None, folder: Path, rng: Random) -> Input:
    path = folder / "start.safetensors"
    if content is not None:
        path.write_bytes(content)
    return Input(_train(part, f"start={path}"), path.name)


for _part in _TRAIN:
    for _name in ("empty", "html", "random", "pickled_code", "torch_code"):
        CHECKPOINTS.add(
            f"{_part}_last_{_name}",
            REFUSE,
            lambda folder, rng, part=_part, make=DAMAGES[_name]: _checkpoint(part, make(rng), folder, rng),
        )
        CHECKPOINTS.add(
            f"{_part}_start_{_name}",
            REFUSE,
            lambda folder, rng, part=_part, make=DAMAGES[_name]: _start(part, make(rng), folder, rng),
        )
    CHECKPOINTS.add(f"{_part}_start_missing", REFUSE, partial(_start, _part, None))
    CHECKPOINTS.add(f"{_part}_start_of_another", REFUSE, partial(_start, _part, SHIPPED["skin_tone"].read_bytes()))
    CHECKPOINTS.add(f"{_part}_last_a_folder", REFUSE, partial(_checkpoint, _part, None))
    CHECKPOINTS.add(f"{_part}_last_of_another", REFUSE, partial(_checkpoint, _part, torch_zip({"weight": 1})))

_LIGHTNINGS = "precision=19-bit accelerator=abacus devices=many strategy=luck monitor=nose threads=64".split()
for _word in _LIGHTNINGS:
    CHECKPOINTS.add(
        f"run.{_word}",
        EITHER if _word.startswith(("monitor", "threads")) else REFUSE,
        lambda folder, rng, word=_word: Input(_train("regressor", f"run.{word}")),
    )


def _data(change: Callable[[Path], None], folder: Path, rng: Random) -> Input:
    """A data set that lacks something."""
    data = folder / "data"
    data.mkdir()
    change(data)
    return Input(_train("regressor", f"data={data}"), "data")


def _table(content: bytes) -> Callable[[Path], None]:
    return lambda data: (data / "table.csv").write_bytes(content) and None


_DATA: dict[str, Callable[[Path], None]] = {
    "missing": lambda data: data.rmdir(),
    "empty": lambda data: None,
    "a_file": lambda data: (data.rmdir(), data.write_bytes(b"x")) and None,
    "table_empty": _table(b""),
    "table_columns": _table(b"a,b\n1,2\n"),
    "table_not_unicode": _table(b"name,identity,drawn,validation,file\n\xe9,\xe9,0,0,\xe9\n"),
    "table_alone": _table(b"name,identity,drawn,validation,file\na,b,0,0,c\n"),
    "table_a_folder": lambda data: (data / "table.csv").mkdir(),
    "table_zero_bytes": _table(bytes(500)),
}
for _name, _change in _DATA.items():
    CHECKPOINTS.add(f"data_{_name}", REFUSE, partial(_data, _change))

