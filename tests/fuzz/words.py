"""Command lines: wrong ones, right ones on hostile files, and hostile ones."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import tests.fuzz.broken_pictures
import tests.fuzz.special_files  # noqa: F401
from tests.fuzz.case import EITHER, REFUSE, SUCCEED, Case, Expect, Input, Random, Shelf
from tests.fuzz.faces import jpeg
from tests.fuzz.pictures import PICTURES
from tests.fuzz.results import RESULTS, whole

WORDS = Shelf("words")


class Words(tuple):
    """What follows the program's name."""

    def __new__(cls, *words: str) -> "Words":
        """Of the words themselves."""
        return super().__new__(cls, words)


QUICK = ("--no-fit", "--texture-size", "64", "--formats", "npz,json", "--workers", "1")

_WRONG: dict[str, tuple[str, ...]] = {
    "command_unknown": ("nose",),
    "command_empty": ("",),
    "command_of_control": ("\x1b[31mred\n",),
    "command_not_unicode": ("\udce9",),
    "option_unknown": ("--nose",),
    "refine_alone": ("refine",),
    "refine_no_photo": ("refine", "-o", "out"),
    "refine_no_output": ("refine", "f.jpg"),
    "refine_output_empty": ("refine", "f.jpg", "-o", ""),
    "refine_photo_empty": ("refine", "", "-o", "out"),
    "refine_option_unknown": ("refine", "f.jpg", "-o", "out", "--nose"),
    "refine_format_unknown": ("refine", "f.jpg", "-o", "out", "--formats", "stl"),
    "refine_format_empty": ("refine", "f.jpg", "-o", "out", "--formats", ""),
    "refine_format_commas": ("refine", "f.jpg", "-o", "out", "--formats", ",,"),
    "refine_format_control": ("refine", "f.jpg", "-o", "out", "--formats", "\x1b[31m\n"),
    "refine_size_63": ("refine", "f.jpg", "-o", "out", "--texture-size", "63"),
    "refine_size_9000": ("refine", "f.jpg", "-o", "out", "--texture-size", "9000"),
    "refine_size_text": ("refine", "f.jpg", "-o", "out", "--texture-size", "big"),
    "refine_size_arabic": ("refine", "f.jpg", "-o", "out", "--texture-size", "-\u0661"),
    "refine_size_long": ("refine", "f.jpg", "-o", "out", "--texture-size", "9" * 5000),
    "refine_workers_0": ("refine", "f.jpg", "-o", "out", "--workers", "0"),
    "refine_workers_text": ("refine", "f.jpg", "-o", "out", "--workers", "two"),
    "refine_workers_superscript": ("refine", "f.jpg", "-o", "out", "--workers", "\N{SUPERSCRIPT TWO}"),
    "refine_adapt_negative": ("refine", "f.jpg", "-o", "out", "--adapt", "-1"),
    "refine_adapt_same_person": ("refine", "f.jpg", "-o", "out", "--adapt", "3", "--same-person"),
    "refine_all_and_same": ("refine", "f.jpg", "-o", "out", "--all-faces", "--same-person"),
    "refine_device_gpu": ("refine", "f.jpg", "-o", "out", "--device", "gpu"),
    "refine_device_cuda_7": ("refine", "f.jpg", "-o", "out", *QUICK, "--device", "cuda:7"),
    "refine_device_cuda_999": ("refine", "f.jpg", "-o", "out", *QUICK, "--device", "cuda:999999"),
    "refine_device_empty": ("refine", "f.jpg", "-o", "out", "--device", ""),
    "align_device_cuda_7": ("align", "f.jpg", "-o", "out", "--device", "cuda:7"),
    "flatten_device_cuda_7": ("flatten", "f.jpg", "-o", "out", "--device", "cuda:7"),
    "align_output_empty": ("align", "f.jpg", "-o", ""),
    "align_photo_empty": ("align", "", "-o", "out"),
    "flatten_photo_empty": ("flatten", "", "-o", "out"),
    "prepare_photo_empty": ("prepare", "", "-o", "out", "--no-embed"),
    "prepare_layout_unknown": ("prepare", "f.jpg", "-o", "out", "--layout", "nose"),
    "prepare_landmarks_none": ("prepare", "f.jpg", "-o", "out", "--landmarks", "missing.whl", "--no-embed"),
    "prepare_landmarks_jpeg": ("prepare", "f.jpg", "-o", "out", "--landmarks", "f.jpg", "--no-embed"),
    "prepare_identities_none": ("prepare", "f.jpg", "-o", "out", "--identities", "missing.csv", "--no-embed"),
    "prepare_identities_jpeg": ("prepare", "f.jpg", "-o", "out", "--identities", "f.jpg", "--no-embed"),
    "prepare_min_face_0": ("prepare", "f.jpg", "-o", "out", "--min-face", "0"),
    "render_alone": ("render",),
    "render_no_output": ("render", "f.npz"),
    "render_missing": ("render", "missing.npz", "-o", "out/x.png"),
    "render_face_empty": ("render", "", "-o", "out/x.png"),
    "render_output_empty": ("render", "f.npz", "-o", ""),
    "render_output_folder": ("render", "f.npz", "-o", "."),
    "render_output_no_suffix": ("render", "f.npz", "-o", "out/x"),
    "render_output_suffix": ("render", "f.npz", "-o", "out/x.nose"),
    "render_size_0": ("render", "f.npz", "-o", "out/x.png", "--size", "0"),
    "render_size_text": ("render", "f.npz", "-o", "out/x.png", "--size", "axb"),
    "render_size_huge": ("render", "f.npz", "-o", "out/x.png", "--size", "1000000"),
    "render_light_unknown": ("render", "f.npz", "-o", "out/x.png", "--light", "moon"),
    "render_light_empty": ("render", "f.npz", "-o", "out/x.png", "--light", ""),
    "render_light_missing": ("render", "f.npz", "-o", "out/x.png", "--light", "missing.json"),
    "render_light_jpeg": ("render", "f.npz", "-o", "out/x.png", "--light", "f.jpg"),
    "render_background_nose": ("render", "f.npz", "-o", "out/x.png", "--background", "nose"),
    "render_background_missing": ("render", "f.npz", "-o", "out/x.png", "--background", "missing.jpg"),
    "render_expression_unknown": ("render", "f.npz", "-o", "out/x.png", "--expression", "nose=1"),
    "render_expression_text": ("render", "f.npz", "-o", "out/x.png", "--expression", "jawOpen=wide"),
    "render_expression_nan": ("render", "f.npz", "-o", "out/x.png", "--expression", "jawOpen=nan"),
    "render_yaw_text": ("render", "f.npz", "-o", "out/x.png", "--yaw", "left"),
    "render_yaw_nan": ("render", "f.npz", "-o", "out/x.png", "--yaw", "nan"),
    "render_yaw_inf": ("render", "f.npz", "-o", "out/x.png", "--yaw", "inf"),
    "render_seconds_negative": ("render", "f.npz", "--turntable", "out/x.mp4", "--seconds", "-1"),
    "render_seconds_nan": ("render", "f.npz", "--turntable", "out/x.mp4", "--seconds", "nan"),
    "render_view_unknown": ("render", "f.npz", "-o", "out/x.png", "--view", "nose"),
    "evaluate_alone": ("evaluate",),
    "evaluate_nothing": ("evaluate", "missing.csv", "-o", "out"),
    "evaluate_empty": ("evaluate", "", "-o", "out"),
}
"""f.jpg is a face, f.npz a result; all must be refused."""

_RIGHT: dict[str, tuple[str, ...]] = {
    "version": ("--version",),
    "help": ("--help",),
    **{f"{name}_help": (name, "-h") for name in ("refine", "render", "align", "flatten", "prepare", "evaluate")},
    "refine": ("refine", "f.jpg", "-o", "out", *QUICK),
    "refine_twice_named": ("refine", "f.jpg", "./f.jpg", "-o", "out", *QUICK),
    "refine_behind_dashes": ("refine", "-o", "out", *QUICK, "--", "f.jpg"),
    "refine_into_deep": ("refine", "f.jpg", "-o", "out/a/b/c/d", *QUICK),
    "refine_into_odd": ("refine", "f.jpg", "-o", "out/\x1b[31m\n\udce9", *QUICK),
    "render": ("render", "f.npz", "-o", "out/x.png", "--size", "64", "--light", "studio", "--yaw", "30"),
    "render_jpeg": ("render", "f.npz", "-o", "out/x.jpg", "--size", "64", "--background", "f.jpg"),
    "render_yaw_huge": ("render", "f.npz", "-o", "out/x.png", "--size", "64", "--yaw", "1e9"),
}


def _commanded(words: tuple[str, ...], named: str, folder: Path, rng: Random) -> Input:
    if "f.jpg" in words:
        (folder / "f.jpg").write_bytes(jpeg())
    if "f.npz" in words:
        (folder / "f.npz").write_bytes(whole())
    return Input(Words(*words), named)


_MISSED = {"missing.npz", "missing.json", "missing.jpg", "missing.csv", "missing.whl"}
for _name, _words in _WRONG.items():
    WORDS.add(_name, REFUSE, partial(_commanded, _words, next((word for word in _words if word in _MISSED), "")))
for _name, _words in _RIGHT.items():
    WORDS.add(_name, SUCCEED, partial(_commanded, _words, ""))


def _lines(lay: Callable[[Path], object], words: tuple[str, ...], folder: Path, rng: Random) -> Input:
    """Words after something was laid into the folder."""
    lay(folder)
    return _commanded(words, "", folder, rng)


_OUTPUTS: dict[str, Callable[[Path], object]] = {
    "a_file": lambda folder: (folder / "out").write_bytes(b"x"),
    "under_a_file": lambda folder: (folder / "out").write_bytes(b"x"),
    "a_link_loop": lambda folder: (folder / "out").symlink_to("out"),
    "result_a_folder": lambda folder: (folder / "out" / "f.npz").mkdir(parents=True),
}
for _name, _lay in _OUTPUTS.items():
    _out = "out/inner" if _name == "under_a_file" else "out"
    WORDS.add(f"refine_into_{_name}", REFUSE, partial(_lines, _lay, ("refine", "f.jpg", "-o", _out, *QUICK)))
WORDS.add(
    "refine_into_proc", REFUSE, partial(_commanded, ("refine", "f.jpg", "-o", "/proc/gcnface", *QUICK), "/proc/gcnface")
)
WORDS.add("refine_into_null", REFUSE, partial(_commanded, ("refine", "f.jpg", "-o", "/dev/null", *QUICK), "/dev/null"))


def _file_words(case: Case, command: tuple[str, ...], options: tuple[str, ...], folder: Path, rng: Random) -> Input:
    """The input of another shelf, given to a command."""
    made = case.make(folder, rng)
    return Input(Words(*command, str(made.argument), *options), made.named)


_INTO_FOLDER = ("-o", "out", *QUICK)
_THROUGH_REFINE = (
    "folder folder_with_face link_to_itself link_loop dangling_link link_to_face pipe socket sparse dev_zero dev_null "
    "dev_full missing in_a_file name_of_4000 a_url postscript_endless_called.jpg postscript_called.eps "
    "float_one_nan.tif rgb_float_nan.tif flat_13000.png size_60000.png empty_called.jpg orientation_6.jpg two_faces.jpg"
).split()
_OTHERWISE: dict[str, Expect] = {"folder_with_face": SUCCEED, "name_of_of_250": EITHER}
"""A command takes folders; endings of results may make a long name too long."""


def _picked(shelf: Shelf, names: list[str], *beginnings: str) -> list[Case]:
    """Some inputs of a shelf, and those whose names begin so."""
    found = [case for case in shelf.cases if case.name in names or case.name.startswith(beginnings)]
    assert set(names) <= {case.name for case in found}
    return found


for _case in _picked(PICTURES, _THROUGH_REFINE, "name_"):
    _what = _OTHERWISE.get(_case.name, EITHER if _case.name == "name_of_250" else _case.expect)
    WORDS.add(f"refine_{_case.name}", _what, partial(_file_words, _case, ("refine",), _INTO_FOLDER))
for _name in ("pipe", "postscript_endless_called.jpg", "missing", "float_one_nan.tif", "folder"):
    (_case,) = _picked(PICTURES, [_name])
    _what = EITHER if _case.expect is EITHER else REFUSE
    for _command in ("align", "flatten"):
        WORDS.add(f"{_command}_{_name}", _what, partial(_file_words, _case, (_command,), ("-o", "out")))

_THROUGH_RENDER = (
    "nan_in_vertices nan_in_normals nan_in_lighting nan_in_uv huge_in_vertices none_of_expression faces_wrapping "
    "pickle_in_vertices bomb_beside encrypted method_99 metadata_deep claims_terabytes cut_0 whole"
).split()
for _case in _picked(RESULTS, [f"{name}.npz" for name in _THROUGH_RENDER], "name_"):
    WORDS.add(
        f"render_{_case.name}",
        _case.expect,
        partial(_file_words, _case, ("render",), ("-o", "out/x.png", "--size", "64")),
    )
for _case in _picked(RESULTS, ["special_pipe", "special_folder", "dev_zero", "dev_null"], "special_link"):
    WORDS.add(f"render_{_case.name}", REFUSE, partial(_file_words, _case, ("render",), ("-o", "out/x.png")))


def _light(name: str, content: bytes, folder: Path, rng: Random) -> Input:
    (folder / name).write_bytes(content)
    words = ("render", "f.npz", "-o", "out/x.png", "--size", "64", "--light", name)
    return Input(_commanded(words, name, folder, rng).argument, name)


_LIGHTS: dict[str, tuple[str, bytes]] = {
    "deep": ("light.json", b"[" * 100000),
    "nan": ("light.json", b"[" + b"[NaN, 1, 1]," * 8 + b"[1, 1, 1]]"),
    "shape": ("light.json", b"[[1, 2, 3]]"),
    "text": ("light.json", b'"moon"'),
    "not_unicode": ("light.json", b"\xff\xfe\x80"),
    "empty_npy": ("light.npy", b""),
    "empty_panorama": ("light.hdr", b""),
    "random_panorama": ("light.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9),
    "huge_panorama": ("light.png", tests.fuzz.broken_pictures.png_of(60000, 30000)),
    "result_cut": ("light.npz", b"PK\x03\x04" + bytes(100)),
}
for _name, (_file, _content) in _LIGHTS.items():
    WORDS.add(f"light_{_name}", REFUSE, partial(_light, _file, _content))


@WORDS.case("folder_of_all_sorts", EITHER)
def _all_sorts(folder: Path, rng: Random) -> Input:
    """Faces among what is none, two workers: every broken one gets a line of its own."""
    photos = folder / "photos"
    photos.mkdir()
    for number in range(3):
        (photos / f"face{number}.jpg").write_bytes(jpeg(200 + number))
    broken = "postscript_endless_called.jpg float_one_nan.tif no_face_page.png cut_0.jpg empty_called.jpg".split()
    for name in broken:
        next(case for case in PICTURES.cases if case.name == name).make(photos, rng)
    return Input(Words("refine", str(photos), "-o", "out", *QUICK[:-1], "2"))
