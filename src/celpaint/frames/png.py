"""PNG files chunk by chunk: what is needed for the picture, and where its resolution stands.

Portable Network Graphics Specification, third edition (W3C, 2025).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

__all__ = ["SIGNATURE", "essential", "profile", "with_resolution"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_OF_THE_PICTURE = (b"tRNS", b"acTL", b"fcTL", b"fdAT", b"pHYs", b"eXIf")
"""Chunks that the picture can do without but looks or plays different without them (section 5.6)."""

_LARGEST_PROFILE = 2**24
_METERS_PER_INCH = 0.0254


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, content) of every whole chunk; checksums are not looked at."""
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            return
        yield kind, data[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def essential(data: bytes) -> bytes:
    """The same PNG without text, profiles and whatever else lies beside the picture.

    Critical chunks (section 5.4) keep the checksums they have, so that damage to the picture is still found.
    """
    kept = [SIGNATURE]
    at = len(SIGNATURE)
    for kind, content in _chunks(data):
        end = at + 12 + len(content)
        if not kind[0] & 0x20 or (_is_of_the_picture(kind, content) and _chunk(kind, content) == data[at:end]):
            kept.append(data[at:end])
        at = end
    return b"".join([*kept, data[at:]])


def _is_of_the_picture(kind: bytes, content: bytes) -> bool:
    return kind in _OF_THE_PICTURE and (kind != b"pHYs" or len(content) == 9)


def profile(data: bytes) -> bytes | None:
    """The embedded ICC profile, None where there is none or it cannot be unpacked."""
    for kind, content in _chunks(data):
        if kind == b"iCCP":
            packed = content.partition(b"\0")[2][1:]
            unpacker = zlib.decompressobj()
            try:
                unpacked = unpacker.decompress(packed, _LARGEST_PROFILE)
            except zlib.error:
                return None
            return unpacked if unpacker.eof else None
    return None


def with_resolution(data: bytes, resolution: tuple[float, float]) -> bytes:
    """A PNG that says how many pixels an inch it has (chunk pHYs, section 11.3.4.3, which counts them a meter)."""
    across, down = (round(value / _METERS_PER_INCH) for value in resolution)
    end_of_header = len(SIGNATURE) + 25
    return data[:end_of_header] + _chunk(b"pHYs", struct.pack(">IIB", across, down, 1)) + data[end_of_header:]
