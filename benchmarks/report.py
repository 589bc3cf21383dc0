"""Figures as a table: for people, for docs/performance.md, and as JSON that the next run compares itself with."""

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

from benchmarks.task import ROOT

Figures = dict[str, dict[str, float]]
RESULTS, DOCUMENT = ROOT / ".local/bench", ROOT / "docs/performance.md"
BEGIN, END = "<!-- figures of `make bench` -->\n", "<!-- end of figures -->\n"
COLUMNS = ("p50 ms", "p99 ms", "floor p50 ms", "ratio", "cpu ms", "floor cpu ms", "cpu ratio", "goal", "to smallest")
SERVED = ("p50 ms", "p99 ms", "floor p50 ms", "a second", "floor a second", "ratio", "goal")
GOALS = {"cold start": 1.15, "list (": 1.4, "memory": 90.0}  # by how a name begins; all others 1.6


def goal(name: str) -> float:
    return next((value for start, value in GOALS.items() if name.startswith(start)), 1.6)


def report(figures: Figures, *, publish: bool) -> None:
    earlier = sorted(RESULTS.glob("*.json"))
    last: Figures = json.loads(earlier[-1].read_text())["figures"] if earlier else {}
    for name, row in figures.items():
        row["goal"] = goal(name)
    compare(figures, last)
    document = {"machine": machine(), "figures": figures}
    (RESULTS / f"{time.strftime('%Y%m%dT%H%M%S')}.json").write_text(json.dumps(document, indent=1))
    table = markdown(figures)
    (RESULTS / "table.md").write_text(table)
    if publish:
        replace(DOCUMENT, table)


def compare(figures: Figures, last: Figures) -> None:
    """To the terminal: what it costs, how far above the floor, how far it was the last time, and what is too much."""
    print(f"{'':32}{'p50 ms':>10}{'floor':>10}{'ratio':>10}{'goal':>8}{'last':>8}")
    for name, row in figures.items():
        value = decisive(row)
        before = f"{decisive(last[name]):>8.2f}" if name in last else " " * 8
        clock = "".join(f"{row[each]:>10.2f}" if each in row else " " * 10 for each in ("p50 ms", "floor p50 ms"))
        cells = f"{clock}{value:>10.2f}{row['goal']:>8.2f}"
        print(f"{name:32}{cells}{before}{'  missed' if value > row['goal'] else ''}")


def decisive(row: dict[str, float]) -> float:
    """What the goal is about: CPU above the floor's, which another process's load distorts least."""
    return row.get("cpu ratio") or row.get("ratio") or row["MB"]


def machine() -> dict[str, Any]:
    return {
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "processor": processor(),
    }


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def markdown(figures: Figures) -> str:
    served = {name: row for name, row in figures.items() if "a second" in row}
    memory = {name: row for name, row in figures.items() if "MB" in row}
    others = {name: row for name, row in figures.items() if name not in served | memory}
    return "\n".join(
        [
            ", ".join(f"{name} {value}" for name, value in machine().items() if value) + "\n",
            *table(others, COLUMNS),
            "",
            *table(served, SERVED),
            "",
            *table(memory, ("MB", "goal")),
            "",
        ]
    )


def table(figures: Figures, columns: tuple[str, ...]) -> list[str]:
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    for name, row in figures.items():
        cells = (f"{row[column]:.2f}" if column in row else "" for column in columns)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def replace(path: Path, text: str) -> None:
    """The part of a document between its two marks."""
    before, _, rest = path.read_text().partition(BEGIN)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")
