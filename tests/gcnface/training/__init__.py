"""Tests of what imports lightning; without it they are skipped."""

import importlib.util

import pytest

if importlib.util.find_spec("lightning") is None:
    pytest.skip('training needs pip install "gcnface[train]"', allow_module_level=True)
