"""The README's Python is run as it stands, and what it names exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_python_of_the_readme_runs(code, tmp_path, monkeypatch):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102
    if "face.glb" in code:
        assert (tmp_path / "face.glb").stat().st_size > 100_000


def test_links_of_the_readme_lead_somewhere():
    local = [target for target in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in target]
    assert local
    assert [target for target in local if not (ROOT / target).exists()] == []


def test_commands_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^ {4}make (\w+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile
    for config in re.findall(r"configs/\w+\.yaml", README):
        assert (ROOT / config).is_file()


SETUP = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("docs/install.md", "Makefile", "constraints.txt")}


def test_links_of_the_page_on_installing_lead_somewhere():
    local = [to for to in re.findall(r"\]\(([^)#]+)\)", SETUP["docs/install.md"]) if "://" not in to]
    assert [to for to in local if not (ROOT / "docs" / to).exists()] == []


def test_versions_on_the_page_on_installing_are_those_of_the_constraints():
    named = re.findall(r"\b(torch|torchvision)==([\d.]+\d)", SETUP["docs/install.md"] + SETUP["Makefile"])
    assert {name for name, _ in named} == {"torch", "torchvision"}
    for name, version in named:
        assert f"\n{name}=={version}\n" in SETUP["constraints.txt"]


def test_no_package_index_is_named_by_its_address():
    """Which index pip asks is the user's choice; only pytorch.org's selector is linked."""
    for text in (README, *SETUP.values()):
        hosts = set(re.findall(r"https?://([^/\s)]+)", text))
        assert not {host for host in hosts if host not in ("pytorch.org", "github.com")}
