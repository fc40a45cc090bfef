"""Figures, their percentiles, and the table they end in."""
from __future__ import annotations

import math
import os
import pathlib
import platform
import subprocess
from dataclasses import dataclass, field
from typing import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all are not above."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


@dataclass
class Row:
    """One thing measured, with its baseline and its goal."""

    name: str
    unit: str
    ours: Sequence[float]
    base: Sequence[float] = ()
    base_name: str = "–"
    goal: str = ""
    met: bool | None = None
    note: str = ""

    def cells(self) -> list[str]:
        def of(values: Sequence[float]) -> str:
            if not values:
                return "–"
            if len(values) == 1:
                return number(values[0])
            return " / ".join(number(percentile(values, share)) for share in (0.5, 0.95, 0.99))

        ratio = "–"
        if self.base and percentile(self.base, 0.5):
            ratio = f"{percentile(self.ours, 0.5) / percentile(self.base, 0.5):.2f}"
        verdict = {None: "", True: "met", False: "**short**"}[self.met]
        return [self.name, self.unit, str(len(self.ours)), of(self.ours), of(self.base), self.base_name, ratio, self.goal, verdict, self.note]


def number(value: float) -> str:
    size = abs(value)
    return f"{value:.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 1 else f"{value:.3f}"


@dataclass
class Table:
    """All rows of a run and the machine they were measured on."""

    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        self.rows.append(row)
        print(f"  {row.name}: {row.cells()[3]} {row.unit} (baseline {row.cells()[4]}, ratio {row.cells()[6]}) {row.cells()[8]}", flush=True)

    def markdown(self) -> str:
        head = ["what", "unit", "n", "ours p50 / p95 / p99", "baseline p50 / p95 / p99", "baseline", "ratio of p50", "goal", "", "note"]
        lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row.cells()) + " |" for row in self.rows]
        return f"{machine()}\n\n" + "\n".join(lines) + "\n"


def machine() -> str:
    """What was measured, on what."""
    cpu = next((line.split(":")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
    memory = int(pathlib.Path("/proc/meminfo").read_text().split()[1]) >> 20
    version = subprocess.run([os.environ["BROWSERD_BIN"], "--version"], capture_output=True, text=True, check=False).stdout.strip()
    chromium = subprocess.run(["/usr/lib/chromium/chromium", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    load = os.getloadavg()[0]
    return (
        f"{version or 'browserd'}; {chromium or 'Chromium'}; {os.cpu_count()} × {cpu}, {memory} GiB, Linux {platform.release()}; "
        f"load at the end {load:.2f}. One figure means one measurement."
    )
