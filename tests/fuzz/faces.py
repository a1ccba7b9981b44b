"""Pictures of faces to spoil: the drawn ones that come with the project."""

import io
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).parents[2]
PHOTOS = (
    ROOT / "tests" / "data" / "face.jpg",
    ROOT / "tests" / "data" / "glasses.jpg",
    ROOT / "examples" / "portrait.jpg",
    ROOT / "examples" / "smile.jpg",
)


@lru_cache
def face(side: int = 224, photo: int = 0) -> Image.Image:
    """A face, RGB; not to be changed."""
    with Image.open(PHOTOS[photo]) as picture:
        return picture.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """A picture as a file."""
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def jpeg(side: int = 224) -> bytes:
    """A face as a plain JPEG."""
    return encoded(face(side), "JPEG", quality=92)


def png(side: int = 224) -> bytes:
    """A face as a plain PNG."""
    return encoded(face(side), "PNG")
