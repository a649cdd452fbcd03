"""Run-length TGA files whose runs go on across the ends of rows, as old programs write them.

Truevision TGA File Format Specification 2.0 (1991): it asks writers to end runs with rows and readers to cope.
"""

from __future__ import annotations

import struct

__all__ = ["unpacked"]

_HEADER = struct.Struct("<BBBHHBHHHHBB")
_RUN_LENGTH = 8


def unpacked(data: bytes) -> bytes:
    """The same TGA, not compressed.

    Raises:
        ValueError: it is no run-length TGA, or cut short.
    """
    if len(data) < _HEADER.size:
        raise ValueError("the header is cut short")
    comment, has_colors, kind, _, colors, color_bits, _, _, width, height, depth, _ = _HEADER.unpack_from(data)
    if not kind & _RUN_LENGTH:
        raise ValueError("it is not run-length coded")
    at = _HEADER.size + comment + (colors * -(-color_bits // 8) if has_colors else 0)
    size = -(-depth // 8)
    head = data[:2] + bytes([kind & ~_RUN_LENGTH]) + data[3:at]
    return head + _pixels(data, at, size, width * height * size)


def _pixels(data: bytes, at: int, size: int, total: int) -> bytes:
    """Packets from ``at`` on -> ``total`` bytes of pixels of ``size`` bytes each."""
    parts: list[bytes] = []
    filled = 0
    while filled < total:
        if at >= len(data):
            raise ValueError("its pixels are cut short")
        count = (data[at] & 0x7F) + 1
        repeated = bool(data[at] & 0x80)
        stored = data[at + 1 : at + 1 + size * (1 if repeated else count)]
        at += 1 + len(stored)
        part = stored * count if repeated else stored
        if len(part) != size * count:
            raise ValueError("its pixels are cut short")
        parts.append(part)
        filled += len(part)
    return b"".join(parts)[:total]
