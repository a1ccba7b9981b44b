"""Pictures that are cut off, flipped or lie, and what is no picture at all but is called one."""

import gzip
import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from tests.fuzz.case import EITHER, REFUSE, SUCCEED, Payload, Random, flipped, truncated
from tests.fuzz.faces import encoded, face, jpeg, png
from tests.fuzz.pictures import PICTURES

_FORMATS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif", "BMP": "bmp"}


def _cut(kind: str, rng: Random) -> bytes:
    return truncated(encoded(face(), kind), rng)


def _flip(kind: str, start: int, stop: int | None, rng: Random) -> bytes:
    return flipped(encoded(face(), kind), rng, start, stop)


for _kind, _ending in _FORMATS.items():
    for _number in range(3):
        PICTURES.add_file(f"cut_{_number}.{_ending}", REFUSE, partial(_cut, _kind))
        PICTURES.add_file(f"flipped_head_{_number}.{_ending}", EITHER, partial(_flip, _kind, 0, 64))
        PICTURES.add_file(f"flipped_body_{_number}.{_ending}", EITHER, partial(_flip, _kind, 64, None))


def chunk(kind: bytes, content: bytes) -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of(width: int, height: int, *between: bytes, rows: bytes = b"", depth: int = 8, colors: int = 2) -> bytes:
    """A PNG that says any size, whatever its pixels."""
    head = struct.pack(">IIBBBBB", width, height, depth, colors, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(between) + body + chunk(b"IEND", b"")


def _flat_png(side: int, rng: Random) -> bytes:
    """All black; 8 bits of grey, hence a few kilobytes whatever the side."""
    packer = zlib.compressobj(1)
    row = bytes(side + 1)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _bomb(megabytes: int) -> bytes:
    packer = zlib.compressobj(1)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()


def _in_png(*parts: bytes) -> bytes:
    """The face with parts behind its header."""
    content = png()
    return content[:33] + b"".join(parts) + content[33:]


def _sized_jpeg(width: int, height: int, rng: Random) -> bytes:
    """A face whose frame header lies."""
    content = bytearray(jpeg())
    at = content.find(b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def _sized_bmp(width: int, height: int, rng: Random) -> bytes:
    content = bytearray(encoded(face(64), "BMP"))
    content[18:26] = struct.pack("<ii", width, height)
    return bytes(content)


def _sized_webp(rng: Random) -> bytes:
    """An extended header that says 16384 x 16384 over a small picture."""
    body = encoded(face(64), "WEBP")[12:]
    head = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + struct.pack("<I", 16383)[:3] + struct.pack("<I", 16383)[:3]
    return b"RIFF" + struct.pack("<I", len(head) + len(body) + 4) + b"WEBP" + head + body


def _tiff(*tags: tuple[int, int, int, int], behind: int = 0, rows: bytes = b"") -> bytes:
    """A TIFF of these tags (number, type, count, value) and the offset of the next folder."""
    listed = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + listed + struct.pack("<I", behind) + rows


def _tiff_of(width: int, height: int, *more: tuple[int, int, int, int], behind: int = 0) -> bytes:
    plain = {256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 200),
             277: (3, 1, 1), 278: (4, 1, height), 279: (4, 1, width * height % 2**32)}  # fmt: skip
    plain |= {number: rest for number, *rest in more}  # type: ignore[misc]
    return _tiff(*((number, *rest) for number, rest in plain.items()), behind=behind, rows=bytes(5000))


_LIES: dict[str, tuple] = {
    "size_60000.png": (REFUSE, lambda rng: png_of(60000, 60000)),
    "size_2147483647.png": (REFUSE, lambda rng: png_of(2**31 - 1, 2**31 - 1)),
    "size_0.png": (REFUSE, lambda rng: png_of(0, 0)),
    "size_1_by_100000.png": (REFUSE, lambda rng: png_of(1, 100000, rows=bytes(4 * 100000))),
    "size_100000_by_1.png": (REFUSE, lambda rng: png_of(100000, 1, rows=bytes(300001))),
    "size_13000_without_pixels.png": (REFUSE, lambda rng: png_of(13000, 13000)),
    "one_pixel.png": (REFUSE, lambda rng: png_of(1, 1, rows=bytes(4))),
    "two_pixels.jpg": (REFUSE, lambda rng: encoded(face(2), "JPEG")),
    "flat_4000.png": (REFUSE, partial(_flat_png, 4000)),
    "flat_9000.png": (REFUSE, partial(_flat_png, 9000)),
    "flat_13000.png": (REFUSE, partial(_flat_png, 13000)),
    "text_bomb.png": (EITHER, lambda rng: _in_png(chunk(b"zTXt", b"bomb\0\0" + _bomb(200)))),
    "international_bomb.png": (EITHER, lambda rng: _in_png(chunk(b"iTXt", b"b\0\1\0\0\0" + _bomb(200)))),
    "profile_bomb.png": (EITHER, lambda rng: _in_png(chunk(b"iCCP", b"bomb\0\0" + _bomb(200)))),
    "pixel_bomb.png": (EITHER, lambda rng: png_of(64, 64, rows=bytes(300 << 20))),
    "many_texts.png": (EITHER, lambda rng: _in_png(*(chunk(b"tEXt", b"k%d\0v" % k) for k in range(20000)))),
    "text_of_control.png": (SUCCEED, lambda rng: _in_png(chunk(b"tEXt", b"Title\0\x1b[2J\n\x07"))),
    "depth_3.png": (REFUSE, lambda rng: png_of(64, 64, depth=3, rows=bytes(64 * 193))),
    "colours_9.png": (REFUSE, lambda rng: png_of(64, 64, colors=9, rows=bytes(64 * 193))),
    "palette_missing.png": (REFUSE, lambda rng: png_of(64, 64, colors=3, rows=bytes(64 * 65))),
    "no_pixels.png": (REFUSE, lambda rng: png()[:33] + chunk(b"IEND", b"")),
    "two_headers.png": (EITHER, lambda rng: _in_png(png()[8:33])),
    "checksum.png": (EITHER, lambda rng: png()[:29] + b"\0\0\0\0" + png()[33:]),
    "size_65500.jpg": (REFUSE, partial(_sized_jpeg, 65500, 65500)),
    "size_12000.jpg": (EITHER, partial(_sized_jpeg, 12000, 12000)),
    "size_0.jpg": (REFUSE, partial(_sized_jpeg, 0, 0)),
    "size_twice_as_high.jpg": (EITHER, partial(_sized_jpeg, 224, 448)),
    "size_2147483647.bmp": (REFUSE, partial(_sized_bmp, 2**31 - 1, 2**31 - 1)),
    "size_negative.bmp": (EITHER, partial(_sized_bmp, -64, -64)),
    "size_30000.bmp": (REFUSE, partial(_sized_bmp, 30000, 30000)),
    "size_16384.webp": (EITHER, _sized_webp),
    "folder_loop.tif": (EITHER, lambda rng: _tiff_of(64, 64, behind=8)),
    "folder_far.tif": (EITHER, lambda rng: _tiff_of(64, 64, behind=2**32 - 2)),
    "size_4294967295.tif": (REFUSE, lambda rng: _tiff_of(2**32 - 1, 2**32 - 1)),
    "size_60000.tif": (REFUSE, lambda rng: _tiff_of(60000, 60000)),
    "strips_4294967295.tif": (EITHER, lambda rng: _tiff_of(64, 64, (273, 4, 2**32 - 1, 8))),
    "strip_beyond.tif": (EITHER, lambda rng: _tiff_of(64, 64, (273, 4, 1, 2**31))),
    "samples_65535.tif": (EITHER, lambda rng: _tiff_of(64, 64, (277, 3, 1, 65535))),
    "bits_0.tif": (EITHER, lambda rng: _tiff_of(64, 64, (258, 3, 1, 0))),
    "compression_9999.tif": (REFUSE, lambda rng: _tiff_of(64, 64, (259, 3, 1, 9999))),
    "no_tags.tif": (REFUSE, lambda rng: _tiff()),
    "tags_65535.tif": (REFUSE, lambda rng: b"II*\0\x08\0\0\0\xff\xff" + bytes(12 * 100)),
}
for _name, (_what, _content) in _LIES.items():
    PICTURES.add_file(_name, _what, _content)

ENDLESS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 300 300\n%%EndComments\n{} loop\n%%EOF\n"
"""PostScript that never ends where it is interpreted."""
_WRITES = ENDLESS.replace(b"{} loop", b"(executed) (w) file closefile showpage")
_SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
_LAUGHS = b'<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><svg>&b;</svg>'


def _zip(rng: Random) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(zipfile.ZipInfo("face.jpg"), jpeg())
    return content.getvalue()


def _npz(rng: Random) -> bytes:
    content = io.BytesIO()
    np.savez(content, photo=rng.random((8, 8, 3)))
    return content.getvalue()


_FOREIGN: dict[str, Callable[[Random], bytes]] = {
    "postscript_endless": lambda rng: ENDLESS,
    "postscript_writes": lambda rng: _WRITES,
    "postscript_with_preview": lambda rng: (
        b"\xc5\xd0\xd3\xc6" + struct.pack("<6I", 32, len(ENDLESS), 0, 0, 0, 0) + b"\xff\xff\0\0" + ENDLESS
    ),
    "pdf": lambda rng: b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF",
    "svg": lambda rng: _SVG,
    "svg_laughs": lambda rng: _LAUGHS,
    "html": lambda rng: b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "lfs_pointer": lambda rng: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n",
    "zip": _zip,
    "npz": _npz,
    "json": lambda rng: b'{"photo": "face.jpg"}',
    "pickle": lambda rng: pickle.dumps(Payload()),
    "program": lambda rng: b"\x7fELF\x02\x01\x01" + rng.bytes(400),
    "script": lambda rng: b"#!/bin/sh\ntouch executed\n",
    "gzip": lambda rng: gzip.compress(jpeg(), mtime=0),
    "video": lambda rng: b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + rng.bytes(2000),
    "heic": lambda rng: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + rng.bytes(2000),
    "sound": lambda rng: b"RIFF\x24\x08\0\0WAVEfmt " + rng.bytes(2000),
    "riff_alone": lambda rng: b"RIFF\x04\0\0\0WEBP",
    "wmf": lambda rng: b"\xd7\xcd\xc6\x9a\0\0" + bytes(40),
    "fits": lambda rng: b"SIMPLE  =                    T".ljust(2880),
    "hdf5": lambda rng: b"\x89HDF\r\n\x1a\n" + bytes(100),
    "text": lambda rng: b"this is no picture\n" * 50,
    "empty": lambda rng: b"",
    "one_byte": lambda rng: b"\xff",
    "jpeg_mark": lambda rng: b"\xff\xd8\xff",
    "png_mark": lambda rng: b"\x89PNG\r\n\x1a\n",
    "tiff_mark": lambda rng: b"II*\0",
    "bmp_mark": lambda rng: b"BM",
    "zeros": lambda rng: bytes(100000),
    "random": lambda rng: rng.bytes(50000),
    "random_behind_jpeg_mark": lambda rng: b"\xff\xd8\xff\xe0" + rng.bytes(50000),
    "random_behind_png_mark": lambda rng: b"\x89PNG\r\n\x1a\n" + rng.bytes(50000),
}
for _name, _content in _FOREIGN.items():
    PICTURES.add_file(f"{_name}_called.jpg", REFUSE, _content)
for _ending in ("png", "tif", "webp", "eps"):
    PICTURES.add_file(f"postscript_called.{_ending}", REFUSE, lambda rng: ENDLESS)


def _drawn(draw: Callable[[Random], np.ndarray], rng: Random) -> bytes:
    return encoded(Image.fromarray(draw(rng).clip(0, 255).astype(np.uint8)), "PNG")


def _plane(*color: int) -> Callable[[Random], np.ndarray]:
    return lambda rng: np.full((300, 300, 3), color)


def _wave(horizontal: float, vertical: float) -> Callable[[Random], np.ndarray]:
    y, x = np.mgrid[:300, :300]
    return lambda rng: np.repeat((127 + 127 * np.sin(horizontal * x + vertical * y))[..., None], 3, 2)


def _text(rng: Random) -> np.ndarray:
    page = Image.new("RGB", (400, 300), "white")
    for line in range(18):
        words = "".join(map(chr, rng.integers(97, 123, 50)))
        ImageDraw.Draw(page).text((5, 5 + 16 * line), words, fill="black")
    return np.asarray(page)


_SKIN = np.array([205, 165, 140])
_NO_FACES: dict[str, Callable[[Random], np.ndarray]] = {
    "black": _plane(0, 0, 0),
    "white": _plane(255, 255, 255),
    "grey": _plane(128, 128, 128),
    "skin": _plane(*_SKIN),
    "stripes": _wave(0.3, 0),
    "waves": _wave(0.02, 0.05),
    "rings": lambda rng: 127 + 127 * np.cos(np.hypot(*(np.mgrid[:300, :300] - 150))[..., None] / 8).repeat(3, 2),
    "checks": lambda rng: 255.0 * (np.indices((300, 300)).sum(0) // 20 % 2)[..., None].repeat(3, 2),
    "ramp": lambda rng: np.linspace(0, 255, 300)[:, None, None].repeat(300, 1).repeat(3, 2),
    "page": _text,
}
_NOISES: dict[str, Callable[[Random], np.ndarray]] = {
    "uniform": lambda rng: rng.integers(0, 256, (300, 300, 3)),
    "normal": lambda rng: rng.normal(128, 40, (300, 300, 3)),
    "skin": lambda rng: _SKIN + rng.normal(0, 25, (300, 300, 1)),
    "coarse": lambda rng: np.kron(rng.integers(0, 256, (15, 15, 3)), np.ones((20, 20, 1))),
    "walk": lambda rng: np.cumsum(np.cumsum(rng.normal(0, 1, (300, 300, 3)), 0), 1) + 128,
    "sparse": lambda rng: 255.0 * (rng.random((300, 300, 1)) < 0.01).repeat(3, 2),
}
for _name, _draw in _NO_FACES.items():
    PICTURES.add_file(f"no_face_{_name}.png", REFUSE, partial(_drawn, _draw))
for _name, _draw in _NOISES.items():
    PICTURES.add_file(f"noise_{_name}.png", EITHER, partial(_drawn, _draw))
