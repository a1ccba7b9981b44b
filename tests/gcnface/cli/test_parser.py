"""A word that is nearly right is answered by the right one, in the line that says what is wrong."""

import pytest

from gcnface import cli
from gcnface.names import did_you_mean


def complaint(words, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(words.split())
    assert caught.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("refin photo.jpg -o out", "refine"),
        ("refine a.jpg -o out --formts glb", "--formats"),
        ("refine a.jpg -o out --formats gbl,npz", "glb"),
        ("refine a.jpg -o out --texture-sice=512", "--texture-size"),
        ("render x.npz -o a.png --view portait", "portrait"),
        ("render x.npz -o a.png --lihgt left", "--light"),
        ("evaluate faces -o report --methods projcted", "projected"),
        ("prepare faces -o data --layout celba", "celeba"),
        ("--versoin", "--version"),
    ],
)
def test_a_near_word_is_offered(words, meant, capsys):
    assert complaint(words, capsys).endswith(f"; did you mean {meant}?")


def test_all_words_are_still_listed(capsys):
    line = complaint("refin photo.jpg", capsys)
    assert all(name in line for name in (*cli.COMMANDS, "train"))


def test_a_misspelt_option_that_is_required(capsys):
    line = complaint("refine a.jpg --ouptut out", capsys)
    assert line.endswith("unrecognized arguments: --ouptut out; did you mean --output?")


def test_the_usage_is_that_of_the_command(capsys):
    with pytest.raises(SystemExit):
        cli.main("refine a.jpg -o out --nonsense".split())
    err = capsys.readouterr().err
    assert err.startswith("usage: gcnface refine ")
    assert err.endswith("gcnface refine: error: unrecognized arguments: --nonsense\n")


@pytest.mark.parametrize("words", ["zzzz", "refine a.jpg -o out --formats qqqq", "refine a.jpg -o out --qqqq"])
def test_nothing_is_made_up(words, capsys):
    assert "did you mean" not in complaint(words, capsys)


def test_what_a_terminal_obeys_is_escaped(capsys):
    line = complaint("refine a.jpg -o out --\x1b[31mred", capsys)
    assert "\x1b" not in line
    assert "\\x1b" in line


def test_did_you_mean():
    assert did_you_mean("GBL", ("glb", "ply")) == "; did you mean glb?"
    assert did_you_mean("x", ("glb", "ply")) == ""
