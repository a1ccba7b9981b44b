import base64
import json
import re

from gcnface.result.files.content import Content
from gcnface.result.files.gltf import glb_bytes
from gcnface.result.files.html import write_html
from tests.gcnface.results import make_mesh, make_reconstruction


def test_the_page_needs_nothing_else(tmp_path):
    make_mesh().save(tmp_path / "ball.html")
    page = (tmp_path / "ball.html").read_text()
    assert not re.search(r"(src|href)\s*=\s*[\"']|url\(|@import|fetch\(|XMLHttpRequest", page)
    assert not re.search(r"https?://", page)
    assert "{{" not in page


def test_the_page_holds_the_glb(tmp_path):
    face = make_reconstruction()
    face.save(tmp_path / "ball.html")
    content = re.search(r'id="glb">([^<]*)<', (tmp_path / "ball.html").read_text())[1]
    assert base64.b64decode(content) == glb_bytes(face.mesh, name="ball", provenance=face.provenance)


def test_light_of_the_photo(tmp_path):
    result = make_reconstruction()
    result.save(tmp_path, "ball", ["html"])
    found = re.search(r'id="lighting">([^<]*)<', (tmp_path / "ball.html").read_text())[1]
    assert len(json.loads(found)) == 9
    make_mesh().save(tmp_path / "plain.html")
    assert 'id="lighting">null<' in (tmp_path / "plain.html").read_text()


def test_a_name_cannot_break_the_page(tmp_path):
    name = "</title><script>alert(1)</script>{{glb}}"
    write_html(Content(make_mesh(), name, tmp_path), tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text()
    assert page.count("<script") == 4
    assert "<title>&lt;/title&gt;" in page
