"""The hostile inputs themselves: enough of each kind, each with its expectation, the same bytes for the same seed."""

import os
from hashlib import sha256

import pytest

from tests.fuzz.case import Expect
from tests.fuzz.corpus import KINDS, corpus, find

AT_LEAST = {
    "pictures": 350, "results": 250, "weights": 110, "checkpoints": 35, "configs": 100, "words": 190, "arrays": 60,
}  # fmt: skip
SMALL = 1 << 20
SLOW = ("bomb", "flat_", "pillow_", "pipe_fed", "nan", "position_map", "regressor_", "face_model")
"""What takes long to make is made alike."""


def digests(case, folder, seed):
    """What lies in the folder of an input, large files by their size, and what is handed over."""
    made = case.made(folder, seed)
    found = {}
    for path in sorted(folder.rglob("*")):
        plain = path.is_file() and not path.is_symlink() and path.stat().st_size < SMALL
        content = path.read_bytes() if plain else str(path.lstat().st_size).encode()
        found[str(path.relative_to(folder))] = sha256(content.replace(os.fsencode(folder), b"")).hexdigest()
    return found, made.named


def test_there_are_many_of_each_kind_and_expectation():
    assert set(AT_LEAST) == set(KINDS)
    for kind, least in AT_LEAST.items():
        cases = corpus([kind])
        assert len(cases) >= least
        assert len({case.name for case in cases}) == len(cases)
    assert {case.expect for case in corpus()} == set(Expect)


def test_names_lead_back():
    for case in corpus():
        assert find(case.key) is case


@pytest.mark.parametrize("kind", ["pictures", "results", "weights", "configs", "words"])
def test_a_seed_fixes_the_bytes(kind, tmp_path):
    cases = [case for case in corpus([kind])[::5] if not any(part in case.name for part in SLOW)]
    for number, case in enumerate(cases):
        folders = [tmp_path / f"{number}{letter}" for letter in "ab"]
        for folder in folders:
            folder.mkdir()
        assert digests(case, folders[0], 3) == digests(case, folders[1], 3), case.key


def test_another_seed_spoils_otherwise(tmp_path):
    case = find("pictures/cut_0.jpg")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert digests(case, tmp_path / "a", 0) != digests(case, tmp_path / "b", 1)
