"""Lightning's command line for the trainings of the project: the Trainer's own arguments, a module's and its data's."""

from __future__ import annotations

import logging
import re
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import jsonargparse
import lightning
import torch
import yaml
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint, ThroughputMonitor
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.plugins import CheckpointIO
from lightning.pytorch.utilities.data import extract_batch_size

from gcnface.errors import GcnfaceError, printable
from gcnface.io.atomic import check_writable
from gcnface.io.yaml_file import check_yaml
from gcnface.names import nearest
from gcnface.training.callbacks import SaveConfiguration, StayStopped
from gcnface.training.checkpoints import LAST, WholeCheckpoints, check_resumable
from gcnface.training.loading import TrainingData
from gcnface.training.module import TrainingModule, usual_precision
from gcnface.training.pictures import Pictures

_NOISE = ("does not have many workers", "smaller than the logging interval", "in eval mode", "is not empty", "LeafSpec")
"""What Lightning warns of although it is meant to be so here: samples may be made by the training process itself, runs
may be short, FaceNet and what else is frozen stays in evaluation mode, a run goes on in its own folder; the fifth is a
matter between Lightning and torch."""
_NEWS = ("Tip:", "GPU available: False", "TPU available: False", "Seed set to", "flops_per_batch")
"""What Lightning says that helps nobody here: advertisements, and what a machine or a module has not."""
_DEFAULTS = {"precision": usual_precision(), "max_epochs": 20, "gradient_clip_val": 1.0, "num_sanity_val_steps": 0}
_DEFAULTS |= {"log_every_n_steps": 10}
"""Where the trainings' defaults differ from the Trainer's; each module may name more."""

jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)


class Parser(LightningArgumentParser):
    """Says what is wrong in one line instead of listing every key."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Leave with status 2.

        Raises:
            SystemExit: always.
        """
        known = list(self.get_defaults(skip_validation=True).keys())
        prog = self.prog if self.prog.startswith("gcnface") else "gcnface train"  # parsers of parts have no name
        self.exit(2, f"{prog}: {_reason(message, known)}; -h lists every key\n")


class TrainingCLI(LightningCLI):
    """`LightningCLI` for one training: ``trainer``, ``model`` and ``data``, and what every run of the project adds.

    Args:
        model: class of the module.
        data: class of its data module.
        words: ``--config FILE``, ``--KEY VALUE``, ``--KEY=VALUE`` and ``KEY=VALUE``; or a mapping of nested keys.
        name: of what is trained.
        summary: of it, for the help.
    """

    @classmethod
    def of(cls, *args: Any) -> TrainingCLI:
        """As the class, with wrong values told in one line.

        Raises:
            GcnfaceError: Lightning refuses what was configured, or a file is missing or damaged.
            SystemExit: an unknown key, a value that cannot be (status 2), or help.
        """
        with quiet_lightning():
            try:
                return cls(*args)
            except GcnfaceError:
                raise
            except (ValueError, TypeError, OverflowError) as error:
                sys.stderr.write(f"gcnface train {args[3]}: {_reason(str(error), [])}; -h lists every key\n")
                raise SystemExit(2) from error

    def __init__(
        self,
        model: type[TrainingModule],
        data: type[TrainingData],
        words: Sequence[str] | Mapping[str, Any],
        name: str,
        summary: str,
    ) -> None:
        own_data = _names_data(words)
        self.links = () if own_data else model.links
        self.usual_root = f"runs/{name.replace('-', '_')}"
        super().__init__(
            model,
            None if own_data else data,
            save_config_callback=SaveConfiguration,
            save_config_kwargs={"save_to_log_dir": False},
            trainer_defaults={**_DEFAULTS, "default_root_dir": self.usual_root, **model.trainer_defaults},
            seed_everything_default=0,
            parser_kwargs={
                "prog": f"gcnface train {name}",
                "description": f"Train {summary}. Write --KEY VALUE or KEY=VALUE; the keys of trainer are those of "
                "Lightning's Trainer. --print_config shows the resolved configuration.",
                "usage": "%(prog)s [--config FILE] [--print_config] [--KEY VALUE ...]",
                "allow_abbrev": False,
            },
            parser_class=Parser,
            args=words,  # type: ignore[arg-type]
            run=False,
            auto_configure_optimizers=False,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """What is neither Lightning's nor one training's."""
        parser.add_argument("--threads", type=int, default=2, help="How many CPU threads compute.")
        parser.add_argument(
            "--ckpt_path",
            type=str | None,
            default="last",
            help=f'Checkpoint to go on from; "last" is {LAST} in trainer.default_root_dir, where there is one; null '
            "starts anew.",
        )
        parser.add_lightning_class_args(Pictures, "pictures")
        for source, target in self.links:
            parser.link_arguments(source, target)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """The configuration out of words or a mapping; a key that is null must be one that may be."""
        if isinstance(args, Mapping):
            self.config = parser.parse_object(dict(args))
        else:
            is_pair = re.compile(r"[A-Za-z_][\w.]*\+?=").match
            self.config = parser.parse_args([f"--{word}" if is_pair(word) else word for word in args])
        parser.validate(self.config, skip_unset=False)
        # Lightning would take the current folder and strew the run over it.
        self.config.trainer.default_root_dir = self.config.trainer.default_root_dir or self.usual_root
        if not 0 <= (seed := self.config.seed_everything) < 2**32:
            raise ValueError(f"seed_everything is {seed}; it must be 0 or more, and less than {2**32}")

    @property
    def root(self) -> Path:
        """Folder of the run: the resolved configuration, checkpoints, logs, pictures and weights."""
        return Path(self.config.trainer.default_root_dir)

    def before_instantiate_classes(self) -> None:
        """Before anything random is made, untrained networks among it."""
        if self.config.threads < 1:
            raise ValueError(f"threads is {self.config.threads}; it must be 1 or more")
        torch.set_num_threads(self.config.threads)
        check_writable(self.root)

    def instantiate_trainer(self, **kwargs: Any) -> lightning.Trainer:
        """The trainer, with the project's loggers, callbacks and checkpoints beside what was configured.

        Raises:
            GcnfaceError: Lightning refuses its arguments.
        """
        chosen = self.config_init.trainer
        if chosen.barebones:
            kwargs["log_every_n_steps"] = None
        else:
            if chosen.logger in (None, True):
                board = [TensorBoardLogger(self.root, name="tensorboard")] if find_spec("tensorboard") else []
                kwargs["logger"] = [CSVLogger(self.root, name="log"), *board]
            plugins, own = _listed(chosen.plugins), _listed(chosen.callbacks)
            if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
                kwargs["plugins"] = [*plugins, WholeCheckpoints()]
            kwargs["callbacks"] = [*own, *self._callbacks(chosen)]
        try:
            return super().instantiate_trainer(**kwargs)
        except Exception as error:  # Lightning, and what it asks about the devices, refuse in every kind of error
            raise self._refused(error) from error

    def _callbacks(self, chosen: Any) -> list[Callback]:
        callbacks: list[Callback] = [ThroughputMonitor(extract_batch_size, window_size=10), StayStopped()]
        if chosen.logger is not False:
            callbacks.append(LearningRateMonitor())
        if chosen.enable_checkpointing is not False:
            options: dict[str, Any] = {"save_on_train_epoch_end": True, "enable_version_counter": False}
            callbacks.append(ModelCheckpoint(self.root, Path(LAST).stem, **options))
        return callbacks

    def _refused(self, error: Exception) -> GcnfaceError:
        """Lightning's refusal in one line: the arguments it speaks of, else those that are not the defaults."""
        text, defaults = " ".join(str(error).split()), self.parser.get_defaults().trainer
        given = {name: value for name, value in self.config.trainer.items() if value != defaults[name]}
        blamed = [name for name in given if name in text] or list(given)
        keys = " ".join(f"trainer.{name}={given[name]}" for name in blamed)
        return GcnfaceError(f"{keys} is what Lightning cannot do here; choose another or leave it out ({text})")

    def fit(self) -> Path | None:
        """Train, and write the weights.

        Returns:
            Their path; None after ``fast_dev_run``, which writes nothing.

        Raises:
            DivergedError: a loss or a weight is no longer finite.
            GcnfaceError: the run cannot be gone on from, or cannot be as it is configured.
        """
        brief = bool(self.trainer.fast_dev_run)  # type: ignore[attr-defined]
        checkpoint = None if brief else self.config.ckpt_path
        if checkpoint == Path(LAST).stem:
            checkpoint = str(self.root / LAST) if (self.root / LAST).exists() else None
        if checkpoint is not None:
            check_resumable(self.model, Path(checkpoint), self.trainer.max_epochs)
        try:
            with quiet_lightning():
                self.trainer.fit(self.model, datamodule=self.datamodule, ckpt_path=checkpoint)
        except Exception as error:
            if not _is_lightnings(error):
                raise
            raise GcnfaceError(f"Lightning cannot train so: {' '.join(str(error).split())}") from error
        return None if brief else self.model.export(self.root, self.datamodule)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Lightning's advertisements and needless warnings left out; everything else is said."""

    def useful(entry: logging.LogRecord) -> bool:
        return not any(text in entry.getMessage() for text in _NEWS)

    names = ("pytorch.utilities.rank_zero", "fabric.utilities.rank_zero", "fabric.utilities.seed")
    speakers = [logging.getLogger(f"lightning.{name}") for name in names]
    for speaker in speakers:
        speaker.addFilter(useful)
    try:
        with warnings.catch_warnings():
            for text in (*_NOISE, *_NEWS):
                warnings.filterwarnings("ignore", f"(?s).*{text}")
            yield
    finally:
        for speaker in speakers:
            speaker.removeFilter(useful)


def _is_lightnings(error: Exception) -> bool:
    """Whether Lightning itself raised an error, which then is about how the run is configured."""
    *_, (innermost, _) = traceback.walk_tb(error.__traceback__)
    return str(innermost.f_globals.get("__name__")).startswith("lightning.")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _names_data(words: Sequence[str] | Mapping[str, Any]) -> bool:
    """Whether the data module is the user's own, named by its class; configuration files are looked at, too."""
    if isinstance(words, Mapping):
        return "class_path" in (words.get("data") or {})
    named = False
    for word, following in zip(words, [*words[1:], ""], strict=False):
        key, given, value = word.removeprefix("--").partition("=")
        value = value if given else following
        if key in ("config", "c", "-c") and word.startswith("-"):
            check_yaml(Path(value))
            data = (yaml.safe_load(Path(value).read_text("utf-8")) or {}).get("data") if Path(value).exists() else None
            named |= isinstance(data, str) or (isinstance(data, dict) and "class_path" in data)
        named |= key == "data.class_path" or (key == "data" and "." in value and not Path(value).exists())
    return named


def _reason(message: str, known: Sequence[str]) -> str:
    """A parser's message in one line, with the likeliest key in place of an unknown one."""
    text = printable(" ".join(message.split()))
    text = re.sub(
        r"Does not validate against any of the Union subtypes Subtypes: \[(.*?)\] Errors: .* Given value: ?(.*)",
        r"expected one of \1, found \2",
        text,
    )
    group = re.search(r"Group '([^']*)' does not accept option '([^']*)'", text)
    word = re.search(r"unrecognized arguments: (?:--)?([^=\s]+)", text) or re.search(r"option '([^']*)'", text)
    if word is None:
        return text
    key = f"{group[1]}.{group[2]}" if group else word[1]
    leaf = key.rpartition(".")[2]
    whole = [name for name in known if name.rpartition(".")[2] == leaf]  # batch_size for data.batch_size
    parts = [name for name in known if name.endswith(f"_{leaf}")]  # epochs for trainer.max_epochs
    likely = next(iter(whole + parts), "") or nearest(key, known)
    return f"there is no key {key!r}" + (f" (did you mean {likely}?)" if likely else "")
