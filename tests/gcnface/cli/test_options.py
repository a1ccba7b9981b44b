"""One record a command: its fields are the options, their docstrings the help, their kinds the rules."""

import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from gcnface import cli, names
from gcnface.cli import commands
from gcnface.cli.parser import default_of, flags_of, read_options, sentences, shown_as
from gcnface.errors import DeviceError
from gcnface.kinds import OptionError
from gcnface.options import FlattenOptions, ReconstructionOptions, RefineOptions, RenderOptions, kinds_of, part
from tests.gcnface.cli.tables import MANUAL, RECORDS, manual_with_tables

ROOT = Path(__file__).parents[3]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def read(words):
    """The record that the words of a command make."""
    name, *others = shlex.split(words)
    return read_options(getattr(commands, name), others)


def complaint(words, capsys):
    """The line that says what is wrong, after the usage."""
    with pytest.raises(SystemExit) as caught:
        cli.main(shlex.split(words))
    assert caught.value.code == 2
    usage, line = capsys.readouterr().err.splitlines()
    program = "gcnface" if words[0] == "-" else f"gcnface {words.split()[0]}"
    assert usage.startswith(f"usage: {program} ")
    assert line.startswith(f"{program}: error: ")
    return line


def documented():
    """Every invocation in the manual that stands for itself: no placeholder, not train."""
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            words = line.partition(" #")[0].strip()
            if re.match(rf"    gcnface ({'|'.join(RECORDS)}) ", line) and not re.search(r"\.\.\.|\[", words):
                yield pytest.param(words.removeprefix("gcnface "), id=f"{page.stem}: {words}")


def in_epilogs():
    for name in RECORDS:
        for words in re.findall(r"^  gcnface (.*)$", commands.end_of_help(getattr(commands, name)), re.MULTILINE):
            yield pytest.param(words, id=words)


@pytest.mark.parametrize("words", [*documented(), *in_epilogs()])
def test_what_is_documented_parses(words):
    words = re.sub(r"\$\w+", "3", words.replace("--config holiday.yaml ", "photo.jpg -o out "))
    assert isinstance(read(words), RECORDS[words.split()[0]])


@pytest.mark.parametrize("name", RECORDS)
def test_the_help_says_every_sentence_once(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "5000")
    with pytest.raises(SystemExit) as caught:
        cli.main([name, "-h"])
    assert caught.value.code == 0
    page, record = capsys.readouterr().out, RECORDS[name]
    assert all(line.isprintable() for line in page.splitlines())
    said, kinds = sentences(record), kinds_of(record)
    assert set(said) == {option.name for option in fields(record)}
    for option in fields(record):
        kind, default = kinds[option.name], default_of(option)
        assert len(re.findall(rf"(?<=  ){re.escape(said[option.name].partition(' (default')[0])}", page)) == 1, option
        assert all(flag in page for flag in flags_of(option.name, kind) if not kind.switches)
        assert all(f"  --{flag}" in page and text in page for flag, text in kind.switches.items())
        if default is not None and not kind.switches and default != {}:
            assert f"(default: {shown_as(default, kind)})" in page
    assert all(part in page for part in ("examples:\n", "--config FILE", "exit status: 0"))


WRONG = {
    "refine a -o b --texture-size 10": "--texture-size is '10'; expected a number from 64 to 8192",
    "refine a -o b --adapt -1": "--adapt is '-1'; expected a number, 0 or more",
    "refine a -o b --formats stl": "--formats is 'stl'; expected some of glb,obj,",
    "refine a -o b --workers 0": "--workers is '0'; expected a number, 1 or more",
    "refine a -o b --workers 2 --cluster tcp://x:1": "--workers is for this machine; leave it out with --cluster",
    "refine a -o b --cluster x": "expected tcp://HOST:PORT or ray://HOST:PORT",
    "refine a -o b --shard 0/3": "--shard is '0/3'; expected K/N with K from 1 to N",
    "refine a -o b --shard 4/3": "K from 1 to N",
    "refine a -o b --shard 3": "expected K/N, such as 3/16",
    "refine a -o b --same-person --all-faces": "--all-faces works on single photos; leave it out with --same-person",
    "refine a -o b --same-person --workers 2": "--workers",
    "refine a -o ''": "-o/--output is ''; expected a path",
    "align a -o b --texture-size x": "--texture-size is 'x'",
    "flatten a -o b --size 17": "--size is '17'; expected an even number from 16 to 4096",
    "flatten a -o b --mean a/b": "--mean is 'a/b'; expected a name without folders",
    "render a.npz": "nothing to write; give -o/--output OUT.png or --turntable OUT.mp4",
    "render a.npz -o b.gif": "-o/--output is 'b.gif'; expected a name that ends with .png, .jpg, .jpeg, .webp",
    "render a.npz -o b.png --size 9": "--size is '9'; expected PX or WIDTHxHEIGHT, 16 to 4096 a side",
    "render a.npz -o b.png --size 1x2x3": "--size is '1x2x3'",
    "render a.npz -o b.png --yaw inf": "--yaw is 'inf'; expected a number",
    "render a.npz -o b.png --expression jawOpen": "expected NAME=X, such as jawOpen=0.6",
    "render a.npz -o b.png --expression jawOpen=x": "expected a number from -10 to 10 behind jawOpen=",
    "render a.npz -o b.jpg --background transparent": "give another --background",
    "prepare a -o b --min-face 0": "--min-face is '0'; expected a number, 1 or more",
    "prepare a -o b --layout celba": "did you mean celeba?",
    "evaluate a -o b --completion x": "expected a number, 0 or more behind completion=",
    "evaluate a -o b --yaws 90": "--yaws is '90'; expected a turn from 1 to 89",
    "evaluate a -o b --identity sfce": "did you mean sface?",
    "--renderer opengl refine a -o b": "invalid choice: 'opengl'",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_value_is_one_line_that_names_the_option(words, capsys):
    assert WRONG[words] in complaint(words, capsys)


@pytest.mark.parametrize("name", RECORDS)
def test_a_command_alone_names_what_is_required(name, capsys):
    metavar = {"render": "NAME.npz", "track": "VIDEO, -o/--output"}.get(name, "PHOTO, -o/--output")
    assert complaint(name, capsys).endswith(f"the following arguments are required: {metavar}")


def test_a_long_value_is_cut_short(capsys):
    assert len(complaint(f"refine a -o b --texture-size {'9' * 5000}", capsys)) < 300


def test_spellings_that_users_know():
    found = read("refine a.jpg b -o out -q --no-fit --all-faces --texture-size=64 --formats GLB,html,glb --shard 3/16")
    assert found == RefineOptions(
        photos=["a.jpg", "b"],
        output=Path("out"),
        quiet=True,
        fit=False,
        all_faces=True,
        texture_size=64,
        formats=("glb", "html"),
        shard="3/16",
    )
    face = read(
        "render a.npz -o b.png --size 720x480 --expression mouthSmileLeft=0.7 jawOpen=0.2 --expression jawLeft=-1"
    )
    assert face.size == (480, 720)
    assert face.expression == {"mouthSmileLeft": 0.7, "jawOpen": 0.2, "jawLeft": -1.0}
    assert read("evaluate a -o b --completion 20 --relit 5 --held-out").protocols == {"completion": 20, "relit": 5}
    assert read("align a -o b --pose --kpt").outputs == ("pose", "kpt")
    assert read("align a -o b").outputs == tuple(names.ALIGN_OUTPUTS)
    assert not read("prepare a -o b --no-embed").embed


def test_a_file_is_read_and_the_command_line_wins(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "photos: [x.jpg, y.jpg]\noutput: out\ntexture_size: 512\nall_faces: true\nformats: glb\n"
    )
    config = f"--config {tmp_path / 'a.yaml'}"
    want = {"output": "out", "texture_size": 512, "all_faces": True, "formats": ["glb"]}
    assert read(f"refine {config}") == RefineOptions(photos=("x.jpg", "y.jpg"), **want)
    words = f"refine z.jpg --texture-size 64 {config.replace(' ', '=')} --no-all-faces --formats html"
    want |= {"texture_size": 64, "all_faces": False, "formats": ["html"]}
    assert read(words) == RefineOptions(photos=["z.jpg"], **want)


def test_mappings_and_switches_in_a_file(tmp_path):
    (tmp_path / "a.yaml").write_text("face: a.npz\noutput: b.png\nexpression: {jawOpen: 0.2}\nsize: [30, 40]\nyaw: 3\n")
    config = f"--config {tmp_path / 'a.yaml'}"
    assert read(f"render {config}").expression == {"jawOpen": 0.2}
    assert read(f"render {config} --expression jawLeft=1").expression == {"jawLeft": 1.0}
    assert read(f"render {config}").size == (30, 40)
    (tmp_path / "a.yaml").write_text("photos: a\noutput: b\nprotocols: {relit: 3}\n")
    assert read(f"evaluate {config}").protocols == {"relit": 3}
    assert read(f"evaluate {config} --completion 2").protocols == {"relit": 3, "completion": 2}
    (tmp_path / "a.yaml").write_text("photos: a\noutput: b\noutputs: [pose, mesh]\n")
    assert read(f"align {config}").outputs == ("pose", "mesh")
    assert read(f"align {config} --kpt").outputs == ("kpt",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("texture_sice: 64", "{file}: there is no option 'texture_sice'; did you mean texture_size?"),
        ("texture_size: big", "--texture-size is 'big'; expected a number from 64 to 8192"),
        ("texture_size: true", "--texture-size is True"),
        ("fit: 3", "--fit is 3; expected true or false"),
        ("formats: {glb: 1}", "expected some of"),
    ],
)
def test_a_wrong_file_is_one_line(text, says, tmp_path, capsys):
    file = tmp_path / "a.yaml"
    file.write_text(f"{text}\n")
    assert says.replace("{file}", str(file)) in complaint(f"refine a -o b --config {file}", capsys)


def test_what_is_no_configuration_is_one_line(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text("a: [3\n")
    assert cli.main(["refine", "--config", str(tmp_path / "a.yaml")]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"gcnface: {tmp_path / 'a.yaml'}: is not YAML")
    assert err.count("\n") == 1
    assert "does not exist" in complaint(f"refine --config {tmp_path / 'b.yaml'}", capsys)


def test_the_options_that_result_are_a_file(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        read("refine a.jpg -o out --no-fit --print_config")
    assert caught.value.code == 0
    (tmp_path / "a.yaml").write_text(capsys.readouterr().out)
    assert read(f"refine --config {tmp_path / 'a.yaml'}") == read("refine a.jpg -o out --no-fit")


def test_python_is_read_by_the_same_rules():
    with pytest.raises(OptionError, match="^texture_size is 10; expected a number from 64 to 8192$"):
        ReconstructionOptions(texture_size=10)
    with pytest.raises(ValueError, match="^neither .* another background$"):
        RenderOptions(face="a.npz", output="b.jpg", background="transparent")
    with pytest.raises(DeviceError, match="not known"):
        FlattenOptions(photos=["a"], output="b", device="tpu")
    options = RefineOptions(photos="a.jpg", output="out", formats="glb,obj", fit=False)
    assert (options.photos, options.output, options.formats) == (("a.jpg",), Path("out"), ("glb", "obj"))
    assert part(ReconstructionOptions, options) == ReconstructionOptions(fit=False)
    assert len({ReconstructionOptions(), ReconstructionOptions(), ReconstructionOptions(adapt=1)}) == 2


def test_braces_of_a_user_are_no_fields(capsys):
    assert "'{fit} {0}'" in complaint("flatten a -o b --size '{fit} {0}'", capsys)


def test_the_manual_has_the_tables_of_the_records():
    text = MANUAL.read_text(encoding="utf-8")
    assert text == manual_with_tables(text), "python -m tests.gcnface.cli.tables writes them"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_names_commands_and_options(shell, capsys):
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(word in script for word in (*cli.COMMANDS, "texture-size", "no-embed", "position-map"))


def test_bash_takes_the_script(capsys, tmp_path):
    assert cli.main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    ask = (
        f"source {tmp_path}/script; COMP_WORDS=(gcnface refine --text); COMP_CWORD=2; COMP_LINE='gcnface refine --text'"
    )
    ask += "; COMP_POINT=${#COMP_LINE}; $(complete -p gcnface | sed 's/.*-F \\([^ ]*\\) .*/\\1/'); echo ${COMPREPLY[@]}"
    result = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=False, timeout=60)
    assert result.stdout.split() == ["--texture-size"], result.stderr


def test_another_renderer_is_chosen_for_the_command(monkeypatch):
    from gcnface.batch import render as render_command
    from render import backend

    seen = []
    monkeypatch.setenv("GCNFACE_RENDERER", "")
    monkeypatch.setattr(render_command, "render", lambda options: seen.append(backend()) or 0)
    monkeypatch.setattr("render.backends.load", lambda name=None: None)
    assert cli.main("--renderer pytorch3d render a.npz -o b.png".split()) == 0
    assert cli.main("render a.npz -o b.png".split()) == 0
    assert seen == ["pytorch3d", "torch"]


def test_a_renderer_that_is_missing_is_one_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "render.backends.pytorch3d", None)
    assert cli.main("--renderer pytorch3d render a.npz -o b.png".split()) == 1
    err = capsys.readouterr().err
    assert err.startswith("gcnface: the renderer pytorch3d cannot be loaded")
    assert err.count("\n") == 1


@pytest.mark.parametrize("debug", [False, True])
def test_an_error_that_nobody_foresaw_is_one_line(monkeypatch, capsys, debug):
    from gcnface.batch import render as render_command

    def broken(options):
        raise RuntimeError("first\nsecond")

    monkeypatch.setattr(render_command, "render", broken)
    assert cli.main(["render", "a.npz", "-o", "b.png", *["--debug"][: int(debug)]]) == 1
    line, *trace = capsys.readouterr().err.splitlines()
    assert line == "gcnface: a.npz: failed (RuntimeError: first second); run again with --debug to see where"
    assert bool(trace) == debug


@pytest.mark.parametrize("words", ["-h", "--version", "refin", "refine -h"])
def test_only_what_is_asked_for_is_imported(words):
    code = (
        "import sys\nfrom gcnface import cli\n"
        f"try: cli.main({words.split()})\nexcept SystemExit: pass\n"
        "print(*sorted({'jsonargparse', 'gcnface.options', 'gcnface.cli.completion', 'shtab'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    expected = ["gcnface.options", "jsonargparse"] if words == "refine -h" else []
    assert result.stdout.splitlines()[-1].split() == expected
