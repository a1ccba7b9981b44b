"""The examples in docstrings of the public interface run, and none of its callables is without one."""

import doctest
import inspect
from pathlib import Path

import pytest

import gcnface

ROOT = Path(__file__).parents[1]
CALLABLE = [
    name
    for name in gcnface.__all__
    if name[0] != "_" and not name.isupper() and not name.endswith(("Error", "Warning"))
]
"""Functions and classes; an error is shown where it is raised."""


def examples(name):
    """The examples of a public name, and of its methods where it is a class of ours."""
    public = getattr(gcnface, name)
    finder = doctest.DocTestFinder(recurse=inspect.isclass(public))
    module = inspect.getmodule(public)
    return [found for found in finder.find(public, name, module=module) if found.examples]


@pytest.fixture
def in_a_copy(tmp_path, monkeypatch):
    """Examples write into the current folder and read photos below examples/."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", CALLABLE)
def test_examples_run(name, in_a_copy, capsys):
    found = examples(name)
    assert found, f"gcnface.{name} has no example in its docstring"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for test in found:
        runner.run(test)
    assert not runner.failures, capsys.readouterr().out
