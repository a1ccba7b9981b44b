import csv
import json
import math

import numpy as np
import pytest

from gcnface.evaluation.photos import PHOTO_ITSELF
from gcnface.evaluation.records import Figure
from gcnface.evaluation.table import Report, Summary, column_of, key_figures, markdown, write_tables


def figures(values):
    """Of four photos of three people: {method: {name: [a1, a2, b, c]}}."""
    people = {"a1": "anna", "a2": "anna", "b": "bert", "c": "cleo"}
    return [
        Figure(photo, people[photo], method, name, value)
        for method, table in values.items()
        for name, row in table.items()
        for photo, value in zip(people, row, strict=True)
    ]


@pytest.fixture
def report():
    values = {
        "coarse": {"psnr_face": [20.0, 22.0, 24.0, 25.0], "sface_front": [0.4, 0.4, 0.5, 0.3], "l1": [0.1] * 4},
        "ours": {"psnr_face": [30.0, 32.0, 33.0, 36.0], "sface_front": [0.8, 0.8, 0.9, 0.7], "l1": [0.02] * 4},
        PHOTO_ITSELF: {
            "skin_angle_photo": [30.0, 30.0, -20.0, 10.0],
            "sface_mirror": [1.0, 1.0, 0.9, 0.8],
            "head_yaw_deg": [math.nan, 1, 2, 3],
        },
    }
    tone = {"a1": "light", "a2": "light", "b": "light", "c": "dark"}
    return Report(
        figures(values),
        ["coarse", "ours"],
        {"skin tone": tone, "age": {"a1": "old", "b": "old", "a2": "young", "c": "young"}},
        {"gcnface": "0"},
        {"image": "its weights are missing"},
        {"d.jpg": "no face | is found"},
        ["a note"],
    )


def test_means_are_over_people(report):
    summary = Summary(report)
    assert summary.people == 3
    assert summary.mean("coarse", "psnr_face").mean == pytest.approx((21 + 24 + 25) / 3)
    assert summary.mean("coarse", "psnr_face", ["a2", "c"]).mean == pytest.approx(23.5)
    assert summary.mean("mean", "psnr_face").people == 0


def test_differences_are_ours_minus_the_other(report):
    found = Summary(report).difference("coarse", "psnr_face")
    assert found.mean == pytest.approx((10 + 9 + 11) / 3)
    assert 9 <= found.low <= found.high <= 11


def test_groups_of_one_person_get_no_row(report):
    summary = Summary(report)
    assert summary.groups("skin tone") == {"light": ["a1", "a2", "b"]}
    assert summary.groups("age") == {"old": ["a1", "b"], "young": ["a2", "c"]}
    text = markdown(summary)
    assert "## By age" in text
    assert "## By skin tone" not in text
    assert "| old | 5.00 [-20.00, 30.00] | – |" in text


def row_of(text, section, method):
    part = text.split(f"## {section}")[1].split("\n## ")[0]
    line = next(line for line in part.splitlines() if line.startswith(f"| {method}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_markdown_says_what_was_measured(report):
    text = markdown(Summary(report))
    assert row_of(text, "Picture against photo", "coarse")[2].startswith("23.33 [")
    assert row_of(text, "Identity", "*ceiling")[1].startswith("0.900 [")
    better, l1 = row_of(text, "Ours minus the others", "coarse")[2], row_of(text, "Ours minus the others", "coarse")[1]
    assert better.startswith("**+10.00")
    assert l1.startswith("**-0.0800")
    for part in ("a note", "its weights are missing", "no face | is found", "4 photos of 3 people; 1 photo without"):
        assert part in text


def test_shares_of_the_ceiling(report):
    text = markdown(Summary(report)).split("As shares of the ceiling")[1]
    line = next(line for line in text.splitlines() if line.startswith("| ours"))
    assert line.split("|")[2].strip() == f"{0.8 / 0.9:.3f}"


def test_files_hold_every_figure(report, tmp_path):
    write_tables(tmp_path, Summary(report))
    data = json.loads((tmp_path / "table.json").read_text())
    first = data["photos"][0]
    assert first["figures"]["ours"]["psnr_face"] == 30.0
    assert first["figures"]["photo"]["head_yaw_deg"] is None
    assert first["groups"] == {"skin tone": "light", "age": "old"}
    assert data["means"]["coarse"]["l1"]["mean"] == pytest.approx(0.1)
    assert data["ours_minus"]["coarse"]["psnr_face"]["people"] == 3
    assert data["splits"]["age"]["young"]["ours"]["psnr_face"]["photos"] == 2
    with (tmp_path / "figures.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(report.figures)
    assert float(rows[0]["value"]) == report.figures[0].value


def test_figures_are_sorted_into_their_sections():
    names = ["sface_front", "sface_yaw30", "sface_yaw45", "l1", "hidden30_psnr", "hidden60_psnr", "hidden60_gain_psnr"]
    assert key_figures(names) == ["l1", "sface_front", "sface_yaw45", "hidden60_psnr"]
    assert not column_of("l1").higher
    assert not column_of("relit_l1").higher
    assert column_of("hidden60_psnr").section == column_of("shown30_gain_l1").section
    assert "45° turned" in column_of("dlib_yaw45").title


def test_without_ours_there_are_no_differences():
    values = {"mean": {"l1": [0.1] * 4}, "coarse": {"l1": list(np.linspace(0.1, 0.2, 4))}}
    summary = Summary(Report(figures(values), ["mean", "coarse"]))
    assert summary.data()["ours_minus"] == {}
    assert "Ours minus" not in markdown(summary)
