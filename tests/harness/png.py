"""Reading PNG pictures, as far as screenshots need it: eight bits a channel, not interlaced."""
from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass


@dataclass
class Picture:
    """Rows of pixels from the top, three bytes each."""

    width: int
    height: int
    rows: list[bytes]

    def pixel(self, x: int, y: int) -> tuple[int, int, int]:
        row = self.rows[y]
        return (row[3 * x], row[3 * x + 1], row[3 * x + 2])

    def crop(self, x: int, y: int, width: int, height: int) -> "Picture":
        return Picture(width, height, [row[3 * x : 3 * (x + width)] for row in self.rows[y : y + height]])


def read(data: bytes) -> Picture:
    """Decodes a picture; opacity is left out."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n", data[:16]
    at, packed = 8, b""
    width = height = channels = 0
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
            channels = {2: 3, 6: 4}[colour]
            assert (depth, interlace) == (8, 0)
        elif kind == b"IDAT":
            packed += body
        at += 12 + length
    raw, stride = zlib.decompress(packed), width * channels
    rows, above = [], bytes(stride)
    for y in range(height):
        start = y * (stride + 1)
        above = _unfilter(raw[start], raw[start + 1 : start + 1 + stride], above, channels)
        rows.append(above)
    if channels == 4:
        rows = [bytes(value for index, value in enumerate(row) if index % 4 != 3) for row in rows]
    return Picture(width, height, rows)


def _unfilter(kind: int, line: bytes, above: bytes, step: int) -> bytes:
    if kind == 0 or (kind == 2 and not any(above)):
        return line
    if kind == 2 and not any(line):
        return above
    out = bytearray(line)
    for i, value in enumerate(line):
        left = out[i - step] if i >= step else 0
        up, corner = above[i], above[i - step] if i >= step else 0
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = up
        elif kind == 3:
            guess = (left + up) // 2
        else:
            p = left + up - corner
            guess = min((abs(p - left), 0, left), (abs(p - up), 1, up), (abs(p - corner), 2, corner))[2]
        out[i] = (value + guess) & 255
    return bytes(out)
