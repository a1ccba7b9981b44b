"""NAME_source.png and NAME_confidence.png: where the texture comes from, texel by texel beside it."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from gcnface.io.images import save_picture
from gcnface.result.files.content import Content
from gcnface.result.reconstruction import TEXEL_SOURCES

SOURCE_RGB = {"empty": (0, 0, 0), "seen": (70, 170, 90), "mirrored": (70, 120, 220), "inferred": (240, 160, 60)}
"""Colours of the palette; the picture's values themselves are indices of `TEXEL_SOURCES`."""


def write_maps(content: Content, source: Path, confidence: Path) -> None:
    """Write both maps, of the texture's size, row 0 is v = 1.

    Args:
        content: the face whose maps they are.
        source: of a palette picture: its values are 0 empty, 1 seen, 2 mirrored, 3 inferred.
        confidence: of a grey picture: 255 wholly from the photos, 0 not at all.
    """
    face = content.known_face
    picture = Image.fromarray(face.texel_source).convert("P")
    picture.putpalette([level for name in TEXEL_SOURCES for level in SOURCE_RGB[name]])
    save_picture(picture, source, "PNG")
    assert face.texel_confidence is not None
    save_picture(Image.fromarray(face.texel_confidence), confidence, "PNG")
