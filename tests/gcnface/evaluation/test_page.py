"""The pages: what they say, in which order, and that no name breaks them."""

import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from gcnface.evaluation.methods import build_methods
from gcnface.evaluation.page import index_page, write_pages
from gcnface.evaluation.photo_evaluator import PhotoEvaluator
from gcnface.evaluation.records import Metric, MetricValue
from gcnface.evaluation.rendering import HeadRenderer
from gcnface.evaluation.report_pictures import (
    PICTURE_PX,
    MethodPictures,
    PhotoPictures,
    ReportPictures,
    provenance,
    telling_turn,
)
from gcnface.evaluation.summary import Report, Summary
from gcnface.evaluation.worst import COUNT, judged_method, worst_page, worst_photos
from gcnface.options import PictureOptions

PSNR, L1 = Metric("psnr", "face"), Metric("l1", "face")
EVIL = "a/<b>\"x\" & 'y'{{title}}.jpg"


def values_of(photo, psnr, person=None):
    rows = [("coarse", PSNR, psnr - 5), ("ours", PSNR, psnr), ("ours", L1, 0.5 - psnr / 100)]
    return [MetricValue(photo, person or photo, *row) for row in rows]


def summary_of(values, **fields):
    found = [value for photo, psnr in values.items() for value in values_of(photo, psnr)]
    return Summary(Report(found, ["coarse", "ours"], **fields))


class Balance(HTMLParser):
    """Raises where tags do not close in order; collects pictures and identifiers."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self):
        super().__init__()
        self.open, self.images, self.ids = [], [], []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag == "img":
            self.images.append(found)
        if "id" in found:
            self.ids.append(found["id"])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(page):
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids))
    return parser


def test_the_worst_ten_come_in_order_by_each_metric():
    summary = summary_of({f"{k:02d}.jpg": 20.0 + (k * 7) % 15 for k in range(15)})
    worst = worst_photos(summary, "ours", PSNR)
    assert len(worst) == COUNT
    assert [value for _, value in worst] == sorted(20.0 + k for k in range(COUNT))
    largest = [value for _, value in worst_photos(summary, "ours", L1)]
    assert largest == sorted(largest, reverse=True)
    assert worst_photos(summary, "ours", L1)[0][0] == worst[0][0]


def test_values_that_are_not_known_are_nobodys_worst():
    summary = summary_of({"a.jpg": 20.0, "b.jpg": math.nan, "c.jpg": 10.0})
    assert [photo for photo, _ in worst_photos(summary, "ours", PSNR)] == ["c.jpg", "a.jpg"]


def test_the_worst_page_names_photos_in_order():
    page = worst_page(summary_of({"b.jpg": 30.0, "a.jpg": 25.0, "c.jpg": 28.0}), {})
    section = page[page.index('id="psnr_face"') :]
    assert re.findall(r"<span title=\"(\w)\.jpg", section[: section.index("</section>")]) == ["a", "c", "b"]
    assert "median of all 3: 28.00" in section
    parsed(page)


def test_pages_are_of_the_last_method_where_ours_is_not_measured():
    summary = Summary(Report([MetricValue("a.jpg", "a", "coarse", PSNR, 20.0)], ["coarse"]))
    assert judged_method(summary) == "coarse"
    assert "coarse 3DMM" in worst_page(summary, {})


def test_names_are_escaped_and_never_taken_for_markup():
    summary = summary_of({EVIL: 20.0, "b.jpg": 30.0}, failed={EVIL: "no <face>"}, groups={"<kind>": {EVIL: "<group>"}})
    pictures = {EVIL: PhotoPictures('pictures/1 "x".jpg')}
    for page in (index_page(summary, pictures), worst_page(summary, pictures)):
        found = parsed(page)
        assert "<b>&quot;x" not in page
        assert "&lt;b&gt;&quot;x&quot; &amp; &#x27;y&#x27;{{title}}.jpg" in page
        assert any(image["src"] == "pictures/1%20%22x%22.jpg" for image in found.images)
    assert "no &lt;face&gt;" in index_page(summary, pictures)
    assert "&lt;kind&gt;: &lt;group&gt;" in index_page(summary, pictures)


def test_missing_pictures_leave_a_box():
    summary = summary_of({"a.jpg": 20.0, "b.jpg": 30.0})
    half = {"a.jpg": PhotoPictures("p.jpg", methods={"ours": MethodPictures("o.jpg")})}
    page = index_page(summary, half)
    found = parsed(page)
    assert {image["src"] for image in found.images} == {"p.jpg", "o.jpg"}
    assert page.count("class=missing") == 2 * 3 * 2 - 2
    assert all(image["alt"] for image in found.images)


def test_photos_come_worst_first_and_carry_what_they_are_sorted_by():
    page = index_page(summary_of({"a.jpg": 30.0, "b.jpg": 20.0, "c.jpg": math.nan}), {})
    assert re.findall(r"<h3 title=\"(\w)\.jpg", page) == ["b", "a", "c"]
    assert 'data-fpsnrface="20"' in page
    assert "data-key=fpsnrface" in page


def test_our_method_stands_beside_the_photo():
    page = index_page(summary_of({"a.jpg": 30.0}), {})
    card = page[page.index("<section class=card") :]
    assert re.findall(r"<h4>([^<]+)</h4>", card) == ["Photo", "ours", "coarse 3DMM"]


def test_the_best_value_of_a_photo_is_marked():
    page = index_page(summary_of({"a.jpg": 30.0}), {})
    assert "<dd class=best>30.00</dd>" in page
    assert "<dd>25.00</dd>" in page


def test_the_constant_does_not_compete_in_the_table():
    found = [
        MetricValue("a.jpg", "a", m, Metric("l1", "relit"), v)
        for m, v in (("mean", 0.0), ("projected", 0.2), ("ours", 0.1))
    ]
    page = index_page(Summary(Report(found, ["mean", "projected", "ours"])), {})
    assert re.findall(r"<span class=best>([\d.]+)", page) == ["0.1000"]


def test_pages_link_to_nothing_outside(tmp_path):
    written = write_pages(tmp_path, summary_of({"a.jpg": 30.0}), {})
    assert [path.name for path in written] == ["index.html", "worst.html"]
    for path in written:
        page = path.read_text(encoding="utf-8")
        assert "://" not in page
        assert "{{" not in page
        for link in re.findall(r'(?:href|src)="([^"#]+)"', page):
            assert link in ("index.html", "worst.html", "table.json", "table.md", "metrics.csv")


@pytest.fixture(scope="module")
def evaluated(reconstructor, portrait):
    methods, _ = build_methods(reconstructor, ["coarse", "ours"], strict=True)
    settings = PictureOptions(yaws=(45.0,), mirrored=False)
    return PhotoEvaluator(reconstructor, methods, {}, {}, settings)(portrait)


def test_every_picture_is_written(reconstructor, evaluated, tmp_path):
    model = reconstructor.model
    pictures = ReportPictures(tmp_path, model, HeadRenderer(model))
    pages = [pictures.write(number, evaluated) for number in (1, 2)]
    names = [pages[0].original, pages[0].provenance]
    names += [name for own in pages[0].methods.values() for name in (own.pasted, own.rotated)]
    assert len(set(names)) == 6
    for name in names:
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (PICTURE_PX, PICTURE_PX)
    assert len(list((tmp_path / "pictures").iterdir())) == 12
    photo, ours = (np.asarray(Image.open(tmp_path / n), float) for n in (names[0], pages[0].methods["ours"].pasted))
    assert np.abs(photo - ours).mean() < 12
    assert abs(pages[0].yaw_deg) == 45


def test_turned_pictures_show_the_side_that_the_photo_shows_less_of(evaluated):
    def with_yaw(angle):
        coarse = evaluated.fitted.view.coarse
        rotation = coarse.coefficients.rotation.clone()
        rotation[:, 1] = angle
        posed = replace(coarse, coefficients=replace(coarse.coefficients, rotation=rotation))
        fitted = replace(evaluated.fitted, view=replace(evaluated.fitted.view, coarse=posed))
        return replace(evaluated, fitted=fitted)

    assert telling_turn(with_yaw(0.3)) == -45.0
    assert telling_turn(with_yaw(-0.3)) == 45.0


def test_the_provenance_map_has_a_colour_for_each_source(reconstructor, fitted):
    mirror = np.asarray(reconstructor.model.mirror, np.int64)
    result = provenance(fitted, torch.from_numpy(mirror))
    own = fitted.observation.confidence[0].numpy() > 0.5
    kinds = np.where(own, 0, np.where(own[mirror], 1, 2))
    assert {len(np.unique(result.albedo.numpy()[kinds == kind], axis=0)) for kind in range(3)} == {1}
    assert len(np.unique(result.albedo.numpy(), axis=0)) == 3
