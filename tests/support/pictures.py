"""Image files, colour profiles and tars; built byte by byte if no library would write them."""

import io
import struct
import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def plain(colour: str = "red", side: int = 9) -> bytes:
    return encoded(Image.new("RGB", (side, side), colour))


def noise(side: int = 16, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


def png(width: int, height: int, bits: int = 1, colour: int = 0, data: bytes = b"", extra: bytes = b"") -> bytes:
    """Build a PNG from its chunks. ``data`` is what IDAT holds, uncompressed; ``extra`` comes before IDAT."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def icc(space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Build an ICC profile, version 2."""
    place, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += name + struct.pack(">II", place + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    header = struct.pack(">I4sI4s4s4s", place + len(body), b"test", 0x02100000, kind, space, connection)
    header += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + xyz(0.9642, 1, 0.8249)[8:]
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * value) for value in values))


def matrix_profile(primaries: Iterable[tuple[float, float, float]], gamma: float) -> bytes:
    """Build an RGB profile from its primaries (XYZ under D50) and one gamma for all three."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(256 * gamma))
    colours = {name + b"XYZ": xyz(*primary) for name, primary in zip((b"r", b"g", b"b"), primaries, strict=True)}
    return icc(b"RGB ", b"XYZ ", {**colours, **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve), b"wtpt": WHITE})


WHITE = xyz(0.9642, 1, 0.8249)


def ink_profile(cyan_lightness: int) -> bytes:
    """Build a CMYK profile: cyan is a grey of the given L*, any black ink is black, all else is white."""
    nodes = []
    for node in range(16):  # cyan is the slowest of the four
        cyan, black = node >> 3, node & 1
        nodes.append((0 if black else round(cyan_lightness * 2.55) if cyan else 255, 128, 128))
    ramp = bytes(range(256))
    identity = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + ramp * 4 + bytes(v for n in nodes for v in n) + ramp * 3
    return icc(b"CMYK", b"Lab ", {b"A2B0": table, b"wtpt": WHITE})


def tar_of(path: Path, members: Iterable[tuple[str, bytes]], kinds: dict[str, bytes] | None = None) -> Path:
    """Write a tar of plain files; ``kinds`` gives the type of the members that are links or devices."""
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.type = (kinds or {}).get(name, tarfile.REGTYPE)
            member.size, member.linkname = len(data), "../../secret.png"
            tar.addfile(member, io.BytesIO(data))
    return path
