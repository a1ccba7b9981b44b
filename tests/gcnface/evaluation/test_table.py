import csv
import json
import math

import numpy as np
import pytest

from gcnface.evaluation.records import PHOTO_ITSELF, Metric, MetricValue
from gcnface.evaluation.summary import Report, Summary, column_of, key_metrics
from gcnface.evaluation.table import data_of, markdown, write_tables

PSNR, L1 = Metric("psnr", "face"), Metric("l1", "face")
PASTED = Metric("cosine", "pasted_head", network="sface")


def values_of(table):
    """Of four photos of three people: {method: {metric: [a1, a2, b, c]}}."""
    people = {"a1": "anna", "a2": "anna", "b": "bert", "c": "cleo"}
    return [
        MetricValue(photo, people[photo], method, metric, value)
        for method, rows in table.items()
        for metric, row in rows.items()
        for photo, value in zip(people, row, strict=True)
    ]


@pytest.fixture
def report():
    values = {
        "coarse": {PSNR: [20.0, 22.0, 24.0, 25.0], PASTED: [0.4, 0.4, 0.5, 0.3], L1: [0.1] * 4},
        "ours": {PSNR: [30.0, 32.0, 33.0, 36.0], PASTED: [0.8, 0.8, 0.9, 0.7], L1: [0.02] * 4},
        PHOTO_ITSELF: {
            Metric("skin_angle", "photo"): [30.0, 30.0, -20.0, 10.0],
            Metric("cosine", "mirror", network="sface"): [1.0, 1.0, 0.9, 0.8],
            Metric("head_yaw"): [math.nan, 1, 2, 3],
        },
    }
    tone = {"a1": "light", "a2": "light", "b": "light", "c": "dark"}
    return Report(
        values_of(values),
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
    assert summary.mean("coarse", PSNR).mean == pytest.approx((21 + 24 + 25) / 3)
    assert summary.mean("coarse", PSNR, ["a2", "c"]).mean == pytest.approx(23.5)
    assert summary.mean("mean", PSNR).people == 0


def test_differences_are_ours_minus_the_other(report):
    found = Summary(report).difference("coarse", PSNR)
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


def record_of(records, method, metric):
    """The one record of a method and a metric, by the fields alone."""
    wanted = {"method": method, **metric.fields()}
    (found,) = [record for record in records if wanted.items() <= record.items()]
    return found


def test_files_hold_every_value_with_its_fields(report, tmp_path):
    write_tables(tmp_path, Summary(report))
    data = json.loads((tmp_path / "table.json").read_text())
    first = data["photos"][0]
    assert record_of(first["metrics"], "ours", PSNR)["value"] == 30.0
    assert record_of(first["metrics"], "photo", Metric("head_yaw"))["value"] is None
    assert first["groups"] == {"skin tone": "light", "age": "old"}
    assert record_of(data["means"], "coarse", L1)["mean"] == pytest.approx(0.1)
    assert record_of(data["means"], "photo", Metric("cosine", "mirror", network="sface"))["people"] == 3
    assert record_of(data["ours_minus"], "coarse", PSNR)["people"] == 3
    assert record_of(data["splits"]["age"]["young"], "ours", PSNR)["photos"] == 2
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["photo", "person", "method", "metric", "view", "yaw_deg", "network", "gain", "value"]
    assert len(rows) == len(report.values)
    assert float(rows[0]["value"]) == report.values[0].value


def test_metrics_are_sorted_into_their_sections_and_keys_are_the_largest_turns():
    turns = [Metric("cosine", "turned", yaw, "sface") for yaw in (30.0, 45.0)]
    hidden = [Metric("psnr", "hidden", yaw) for yaw in (30.0, 60.0)]
    gained = Metric("psnr", "hidden", 60.0, gain=True)
    assert key_metrics([L1, PASTED, *turns, *hidden, gained]) == [L1, PASTED, turns[1], hidden[1]]
    assert not column_of(L1).higher
    assert not column_of(Metric("l1", "relit")).higher
    assert column_of(hidden[1]).section == column_of(Metric("l1", "shown", 30.0, gain=True)).section
    assert column_of(gained).title == "PSNR, hidden at 60°, gain removed"
    assert column_of(Metric("cosine", "turned", 45.0, "dlib")).title == "dlib, 45° turned"
    summary = Summary(Report([MetricValue("a", "a", "ours", m, 1.0) for m in (gained, *turns, PSNR, L1)], ["ours"]))
    assert summary.metrics == [L1, PSNR, *turns, gained]


def test_no_two_metrics_share_a_label():
    metrics = [
        Metric(name, view, yaw, network, gain)
        for name in ("psnr", "cosine")
        for view in ("", "face", "hidden")
        for yaw in (0.0, 30.0, 45.5)
        for network in ("", "sface")
        for gain in (False, True)
    ]
    assert len({metric.label for metric in metrics}) == len(metrics)


def test_without_ours_there_are_no_differences():
    values = {"mean": {L1: [0.1] * 4}, "coarse": {L1: list(np.linspace(0.1, 0.2, 4))}}
    summary = Summary(Report(values_of(values), ["mean", "coarse"]))
    assert data_of(summary)["ours_minus"] == []
    assert "Ours minus" not in markdown(summary)
