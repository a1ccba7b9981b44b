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

TRAINABLES = ("parser", "regressor", "identity", "confidence", "position-map", "refiner", "stn")


def _config(part: str, content: bytes, folder: Path, rng: Random) -> Input:
    (folder / "c.yaml").write_bytes(content)
    return Input(Words("train", part, "--config", str(folder / "c.yaml")))


_ALIASES = "a0: &a0 [x]\n" + "".join(f"a{k + 1}: &a{k + 1} [{', '.join([f'*a{k}'] * 9)}]\n" for k in range(9))
_YAMLS: dict[str, tuple[Expect, bytes]] = {
    "empty": (EITHER, b""),
    "comment": (EITHER, b"# nothing\n"),
    "plain": (SUCCEED, b"trainer:\n  max_epochs: 3\n"),
    "not_unicode": (REFUSE, b"\xff\xfe\x80run:\n"),
    "latin": (REFUSE, b"trainer:\n  default_root_dir: caf\xe9\n"),
    "zero_bytes": (REFUSE, bytes(100)),
    "tab": (REFUSE, b"trainer:\n\tmax_epochs: 3\n"),
    "unclosed": (REFUSE, b"trainer: {max_epochs: 3\n"),
    "colon": (REFUSE, b"trainer: max_epochs: 3\n"),
    "python_object": (REFUSE, b"trainer: !!python/object/apply:builtins.open [executed, w]\n"),
    "python_name": (REFUSE, b"trainer: !!python/name:os.system\n"),
    "unknown_tag": (REFUSE, b"trainer: !thing {max_epochs: 3}\n"),
    "alias_bomb": (REFUSE, _ALIASES.encode()),
    "alias_to_itself": (REFUSE, b"trainer: &r\n  default_root_dir: *r\n"),
    "alias_unknown": (REFUSE, b"trainer: *nothing\n"),
    "deep": (REFUSE, b"trainer: " + b"[" * 3000),
    "deep_and_closed": (REFUSE, b"trainer: " + b"[" * 300 + b"]" * 300),
    "list": (REFUSE, b"- trainer\n- max_epochs\n"),
    "number": (REFUSE, b"7\n"),
    "text": (REFUSE, b"just words\n"),
    "two_documents": (REFUSE, b"trainer:\n  max_epochs: 3\n---\ntrainer:\n  max_epochs: 4\n"),
    "key_unknown": (REFUSE, b"trainers:\n  max_epochs: 3\n"),
    "inner_key_unknown": (REFUSE, b"trainer:\n  max_epoch: 3\n"),
    "key_of_control": (REFUSE, b'"\\e[31mred": 1\n'),
    "key_twice": (EITHER, b"trainer:\n  max_epochs: 3\ntrainer:\n  max_epochs: 4\n"),
    "section_as_number": (REFUSE, b"trainer: 7\n"),
    "section_null": (EITHER, b"trainer: null\n"),
    "epochs_text": (REFUSE, b"trainer:\n  max_epochs: many\n"),
    "epochs_list": (REFUSE, b"trainer:\n  max_epochs: [3]\n"),
    "epochs_float": (REFUSE, b"trainer:\n  max_epochs: 2.5\n"),
    "epochs_null": (EITHER, b"trainer:\n  max_epochs: null\n"),
    "threads_null": (REFUSE, b"threads: null\n"),
    "epochs_huge": (EITHER, b"trainer:\n  max_epochs: 999999999999999999999999\n"),
    "html": (REFUSE, b"<!DOCTYPE html>\n<html>404</html>\n"),
    "json": (SUCCEED, b'{"trainer": {"max_epochs": 3}}'),
}
for _name, (_what, _content) in _YAMLS.items():
    CONFIGS.add(f"yaml_{_name}", _what, partial(_config, "regressor", _content))
for _trainable in TRAINABLES:
    CONFIGS.add(
        f"{_trainable}_plain", SUCCEED, partial(_config, _trainable, b"trainer:\n  default_root_dir: somewhere\n")
    )
    CONFIGS.add(f"{_trainable}_key_unknown", REFUSE, partial(_config, _trainable, b"nose: 3\n"))


def _special_config(lay: Callable[[Path], None], folder: Path, rng: Random) -> Input:
    lay(folder / "c.yaml")
    return Input(Words("train", "refiner", "--config", str(folder / "c.yaml")), "c.yaml")


for _name in ("folder", "link_to_itself", "dangling_link", "pipe", "socket"):
    CONFIGS.add(f"special_{_name}", REFUSE, partial(_special_config, SPECIAL[_name]))

_NEGATIVE = {
    "regressor": (
        "trainer.max_epochs=-3", "threads=0", "threads=-1", "data.batch_size=0", "data.batch_size=-1",
        "model.rendered=-1", "model.learning_rate=-1", "model.learning_rate=nan", "model.learning_rate=inf",
        "data.num_workers=-1", "pictures.every=-1", "trainer.num_nodes=0", "seed_everything=-1", "trainer.devices=-7",
        "model.backbone=huge", "trainer.default_root_dir=", "data.faces=", "model.weight_decay=nan",
        "trainer.max_epochs=", "trainer.max_epochs=1e3", "trainer.profiler=nose", "trainer.callbacks=Nose",
        "trainer.logger=!!python/object/apply:builtins.open [executed, w]", "trainer.fast_dev_run=maybe",
    ),
    "refiner": (
        "data.batch_size=0", "model.drawn_every=0", "model.average=2", "model.rate=fast", "data.faces_an_epoch=-1",
        "model.critic.steps=0", "model.critic.learning_rate=-1", "model.learning_rate=nan", "trainer.max_epochs=-3",
        "model.critic.network.side=7000", "data.hiding.ball_radius=[9, 8]", "data.hiding.side_blur=0",
    ),
}  # fmt: skip
for _trainable, _listed in _NEGATIVE.items():
    for _word in _listed:
        CONFIGS.add(
            f"{_trainable}_{_word.replace('/', '_')}",
            REFUSE if _word not in ("trainer.default_root_dir=", "data.faces=") else EITHER,
            lambda folder, rng, words=("train", _trainable, _word): Input(
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
    "value_of_control": ("refiner", "trainer.max_epochs=\x1b[31m\n7"),
    "value_not_unicode": ("refiner", "trainer.max_epochs=\udce9"),
    "value_code": ("refiner", "trainer.max_epochs=!!python/object/apply:builtins.open [executed, w]"),
}.items():
    CONFIGS.add(f"words_{_name}", REFUSE, lambda folder, rng, words=_words: Input(Words("train", *words)))

_TRAIN = {
    "regressor": ("model.rendered=0", "data.batch_size=4"),
    "refiner": (
        *("data.drawn_faces=0", "data.faces_an_epoch=2", "pictures.every=0", "data.observations=run/observations"),
    ),
}
_RUN = ("trainer.default_root_dir=run", "trainer.precision=32-true", "threads=1", "trainer.max_epochs=1")


def _train(part: str, *words: str) -> Words:
    data = () if any(word.startswith("data.faces=") for word in words) else ("data.faces={data}",)
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
    return Input(_train(part, f"model.start={path}"), path.name)


for _trainable in _TRAIN:
    for _name in ("empty", "html", "random", "pickled_code", "torch_code"):
        CHECKPOINTS.add(
            f"{_trainable}_last_{_name}",
            REFUSE,
            lambda folder, rng, part=_trainable, make=DAMAGES[_name]: _checkpoint(part, make(rng), folder, rng),
        )
        CHECKPOINTS.add(
            f"{_trainable}_start_{_name}",
            REFUSE,
            lambda folder, rng, part=_trainable, make=DAMAGES[_name]: _start(part, make(rng), folder, rng),
        )
    CHECKPOINTS.add(f"{_trainable}_start_missing", REFUSE, partial(_start, _trainable, None))
    CHECKPOINTS.add(
        f"{_trainable}_start_of_another", REFUSE, partial(_start, _trainable, SHIPPED["skin_tone"].read_bytes())
    )
    CHECKPOINTS.add(f"{_trainable}_last_a_folder", REFUSE, partial(_checkpoint, _trainable, None))
    CHECKPOINTS.add(f"{_trainable}_last_of_another", REFUSE, partial(_checkpoint, _trainable, torch_zip({"weight": 1})))

_LIGHTNINGS = "precision=19-bit accelerator=abacus devices=many strategy=luck val_check_interval=99".split()
for _word in _LIGHTNINGS:
    CHECKPOINTS.add(
        f"trainer.{_word}",
        REFUSE,
        lambda folder, rng, word=_word: Input(_train("regressor", f"trainer.{word}"), word.split("=")[0]),
    )


def _data(change: Callable[[Path], None], folder: Path, rng: Random) -> Input:
    """A data set that lacks something."""
    data = folder / "data"
    data.mkdir()
    change(data)
    return Input(_train("regressor", f"data.faces={data}"), "data")


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
