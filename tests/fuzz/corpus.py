"""All hostile inputs."""

from collections.abc import Sequence

import tests.fuzz.broken_pictures
import tests.fuzz.special_files  # noqa: F401
from tests.fuzz.arrays import ARRAYS
from tests.fuzz.case import Case
from tests.fuzz.pictures import PICTURES
from tests.fuzz.results import RESULTS
from tests.fuzz.trainings import CHECKPOINTS, CONFIGS
from tests.fuzz.weights import WEIGHTS
from tests.fuzz.words import WORDS

SHELVES = {shelf.kind: shelf for shelf in (PICTURES, RESULTS, WEIGHTS, CHECKPOINTS, CONFIGS, WORDS, ARRAYS)}
KINDS = tuple(SHELVES)


def corpus(kinds: Sequence[str] = KINDS) -> list[Case]:
    """The inputs of some kinds."""
    return [case for kind in kinds for case in SHELVES[kind].cases]


def find(key: str) -> Case:
    """The input of a key, KIND/NAME."""
    kind, name = key.split("/", 1)
    return next(case for case in SHELVES[kind].cases if case.name == name)
