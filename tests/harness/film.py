"""Looking into recordings with ffprobe and ffmpeg, and a page whose clock can be read off its pictures."""
from __future__ import annotations

import json
import pathlib
import subprocess
from dataclasses import dataclass
from typing import Any

BITS = 20
BLOCK = 32
TICK = 0.1

# Tenths of a second since 1970, modulo 2^20, as a strip of white (1) and black (0) blocks in the upper left corner,
# the lowest bit first; a white block before and a black one after it show that it is there.
CLOCK = f"""<!doctype html><title>clock</title><body style="margin:0;background:#888;overflow:hidden">
<canvas id=c width={(BITS + 2) * BLOCK} height={BLOCK} style="position:fixed;left:0;top:0"></canvas><script>
const context = document.getElementById('c').getContext('2d');
const block = (n, bit) => {{ context.fillStyle = bit ? '#fff' : '#000'; context.fillRect(n * {BLOCK}, 0, {BLOCK}, {BLOCK}); }};
const paint = () => {{
  const tick = Math.floor(Date.now() / 100) % {1 << BITS};
  block(0, 1);
  for (let n = 0; n < {BITS}; n++) block(n + 1, (tick >> n) & 1);
  block({BITS + 1}, 0);
  window.ticks = (window.ticks || 0) + 1;
}};
paint();
window.clock = setInterval(paint, 100);
</script>"""


@dataclass
class Film:
    """What ffprobe says."""

    duration: float
    streams: list[dict[str, Any]]

    @property
    def video(self) -> dict[str, Any]:
        return next(stream for stream in self.streams if stream["codec_type"] == "video")

    @property
    def audio(self) -> dict[str, Any] | None:
        return next((stream for stream in self.streams if stream["codec_type"] == "audio"), None)


def probe(path: pathlib.Path) -> Film:
    """What is in a file; fails when it is no film."""
    ran = subprocess.run(
        ["ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "json", str(path)],
        capture_output=True, text=True, check=True,
    )
    assert not ran.stderr.strip(), ran.stderr
    answer = json.loads(ran.stdout)
    return Film(float(answer["format"]["duration"]), answer["streams"])


def times(path: pathlib.Path) -> list[float]:
    """When each frame shows."""
    ran = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=pts_time", "-of", "csv=p=0", str(path)],
        capture_output=True, text=True, check=True,
    )
    return [float(line.split(",")[0]) for line in ran.stdout.split() if line]


def clocks(path: pathlib.Path) -> list[tuple[float, float | None]]:
    """Each frame's time, and the clock in it, seconds; none where there is no clock."""
    width = (BITS + 2) * BLOCK
    ran = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-vf", f"format=gray,crop={width}:1:0:{BLOCK // 2}",
         "-fps_mode", "passthrough", "-f", "rawvideo", "-"],
        capture_output=True, check=True,
    )
    shown = times(path)
    assert len(ran.stdout) == len(shown) * width, (len(ran.stdout), len(shown))
    return [(at, _clock(ran.stdout[n * width:(n + 1) * width])) for n, at in enumerate(shown)]


def _clock(row: bytes) -> float | None:
    blocks = [row[n * BLOCK + BLOCK // 2] for n in range(BITS + 2)]
    if blocks[0] < 160 or blocks[-1] > 96 or any(96 < block < 160 for block in blocks):
        return None
    return sum(1 << n for n, block in enumerate(blocks[1:-1]) if block > 128) * TICK


def darkest(path: pathlib.Path, left: int, top: int, width: int, height: int) -> list[int]:
    """The darkest point of a part of each picture, 0 to 255."""
    ran = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-vf", f"format=gray,crop={width}:{height}:{left}:{top}",
         "-fps_mode", "passthrough", "-f", "rawvideo", "-"],
        capture_output=True, check=True,
    )
    size = width * height
    return [min(ran.stdout[at:at + size]) for at in range(0, len(ran.stdout), size)]


def brightness(path: pathlib.Path) -> float:
    """How bright the last picture is, 0 to 255."""
    ran = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(path), "-vf", "scale=1:1,format=gray", "-fps_mode", "passthrough", "-f", "rawvideo", "-"],
        capture_output=True, check=True,
    )
    return float(ran.stdout[-1])


def loudness(path: pathlib.Path) -> float:
    """Loudest sample, dB of full scale."""
    ran = subprocess.run(
        ["ffmpeg", "-hide_banner", "-i", str(path), "-map", "0:a", "-af", "volumedetect", "-f", "null", "-"],
        capture_output=True, text=True, check=True,
    )
    line = next(line for line in ran.stderr.splitlines() if "max_volume" in line)
    return float(line.split("max_volume:")[1].split("dB")[0])
