"""The record of the benchmark of stages as a page of tables."""

import statistics
from typing import Any

from tests.benchmarks.store_report import table

STAGES = ("encode", "teach")


def report(record: dict[str, Any]) -> str:
    parts = record["parts"]
    pages = ["# How fast the stages are", "Numbers as they were measured: [stage_speed.json](stage_speed.json)."]
    if "speed" in parts:
        pages += report_speed(parts["speed"])
    if "overhead" in parts:
        pages += report_overhead(parts["overhead"])
    return "\n\n".join(pages) + "\n"


def report_speed(part: dict[str, Any]) -> list[str]:
    rows = part["rows"]
    lines = []
    for stage in STAGES:
        rounds = [row for row in rows if row["stage"] == stage]
        middle = {key: statistics.median(row[key] for row in rounds) for key in rounds[0] if key != "stage"}
        lowest, highest = min(row["ratio"] for row in rounds), max(row["ratio"] for row in rounds)
        lines.append(
            [
                f"`{stage}`, {middle['size']:.0f} px",
                f"{middle['rows_per_second']:.2f}",
                f"{middle['bare_rows_per_second']:.2f}",
                f"{middle['ratio']:.0%} ({lowest:.0%} to {highest:.0%})",
                f"{middle['cpu_seconds_per_row']:.3f}",
                f"{middle['bare_cpu_seconds_per_row']:.3f}",
                describe_load(rounds),
            ]
        )
    head = ["", "rows/s", "bare loop", "ratio", "CPU s/row", "bare loop", "load"]
    return [
        "## Beside a bare loop",
        f"""Made by `{part["command"]}`
on {describe(part)}.
The stage's rows come from files and go to a store; a bare loop has its rows in memory and drops what it computes. It
runs once per core, as does the stage's actor. Both have the same random teacher, in float32, and 16 rows a micro-batch.
They take turns, {len(rows) // 2} rounds of each stage, of which the median is given; the first shard of each actor is
not counted. CPU seconds are those of all of the run's processes; they depend less than the ratio on what else the
machine does, which is its load.""",
        table(head, lines),
    ]


def report_overhead(part: dict[str, Any]) -> list[str]:
    lines = []
    for row in part["rows"]:
        thousands = row["shards"] / 1_000
        lines.append(
            [
                f"{row['all_shards']:,} shards",
                f"{row['seconds'] / thousands:.1f} s",
                f"{row['cpu_seconds'] / thousands:.1f} s",
                f"{row['all_seconds']:.0f} s",
                f"{row['peak_mib']:.0f} MiB",
                describe_load([row]),
            ]
        )
    head = ["", "per 1,000 shards", "CPU per 1,000 shards", "start to seal", "driver's peak", "load"]
    return [
        "## What a job costs",
        f"""Made by `{part["command"]}`
on {describe(part)}.
A stage whose model draws 8 small rows a shard, so that all of its time is overhead: reading rows, passing blocks,
writing shards and commit records. A real shard takes minutes.""",
        table(head, lines),
    ]


def describe(part: dict[str, Any]) -> str:
    machine = part["machine"]
    return f"{machine['cores']} cores ({machine['processor']}), Python {machine['python']}"


def describe_load(rows: list[dict[str, Any]]) -> str:
    loads = [row["load"] for row in rows]
    return f"{min(loads):.0f} to {max(loads):.0f}" if len(rows) > 1 else f"{loads[0]:.0f}"
