"""The record of store_speed as a page of tables."""

from typing import Any

SAMPLE_MB = 64 * 64 * 8 * 2 / 1e6
LIMITS = ["memory map", "memory map, all rows mixed"]


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *("--:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def throughput(results: dict[str, dict[str, float]], operations: list[str], samples: int, limits: list[str]) -> str:
    """MB/s, and of the limit: the fastest of ``limits``."""
    rows = []
    for name, found in results.items():
        cells = []
        for operation in operations:
            share = min(results[limit][operation] for limit in limits) / found[operation]
            cells.append(f"{samples * SAMPLE_MB / found[operation]:,.0f} ({share:.0%})")
        rows.append([name, *cells])
    return table(["MB/s (of the limit)", *operations], rows)


def latencies(results: dict[str, dict[str, float]], operations: list[str], extra: dict[str, str]) -> str:
    rows = []
    for name, found in results.items():
        times = [f"{found[operation] * 1e3:,.2f}" if operation in found else "–" for operation in operations]
        rows.append([name, *times, *(f"{found[key]:,.0f}" for key in extra if key in found)])
    return table(["ms", *operations, *extra.values()], rows)


def growth_table(growth: dict[str, dict[str, dict[str, float]]]) -> str:
    stages = next(iter(growth.values()))
    rows = [
        [stage, *(f"{found[stage]['seconds']:.2f} s, {found[stage]['MiB']:.0f} MiB" for found in growth.values())]
        for stage in stages
    ]
    return table(["", *(f"{int(count):,} rows" for count in growth)], rows)


def report(record: dict[str, Any]) -> str:
    machine, samples = record["machine"], record["samples"]
    operations = ["write", "epoch, cold", "epoch, warm", "epoch, warm, 1 worker"]
    single = ["open and first sample, cold", "open and first sample, warm", "a random sample, cold"]
    single.append("a random sample, warm")
    codecs = [
        [name, *(f"{found[key] * 1e3:.0f} ms" for key in ("write", "read")), f"{found['size']:.3f}"]
        for name, found in record["codecs"].items()
    ]
    commands = ", then ".join(f"`{command}`" for command in record["commands"])
    parts = [
        "# How fast the latent store is",
        f"""Made by {commands} on {machine["cores"]} cores ({machine["processor"]}),
{machine["memory_gib"]} GiB of memory, {machine["disk"]}.
Versions: {", ".join(f"{name} {version}" for name, version in sorted(record["versions"].items()))}.
Numbers as they were measured: [store_speed.json](store_speed.json).""",
        f"""## On a local disk

{samples:,} samples of 64×64×8 float16 ({samples * SAMPLE_MB / 1e3:.2f} GB): Gaussian fields of unit variance whose
spectrum falls as 1/(f + 4), 2,048 different ones in turn. Batches of 256 as torch tensors, the last incomplete one
left out. Every method in a process of its own, in turns; the fastest round of each number. Writing ends with
`sync`; *cold*: `posix_fadvise(DONTNEED)` on every file before; *1 worker*: a `DataLoader` worker.
The limit is one raw file, written in pieces of 32 MiB, mapped into memory, and read in our order or with all rows
mixed; the faster of the two counts (their writing is the same: how far they differ is how far the disk varies).""",
        throughput(record["local"], operations, samples, LIMITS),
        latencies(record["local"], single, {"peak MiB": "peak MiB of the process"}),
        """How each shuffles: *latentcrf* and the memory map mix a row with those of the 16 to 32 shards of 512 around
it (8,192 rows and more); *all rows mixed*, MosaicML Streaming (py1e; all of these rows are in one of its blocks) and
`.pt` files draw from all rows; WebDataset draws from a buffer of 8,192; LitData takes chunks of 32 MiB in random order
and mixes the rows of one. *latentcrf* checks every row that it gives against a checksum; the memory map checks none,
and MosaicML Streaming none unless asked. WebDataset has no access to single samples.

The peers run in an environment of their own (`tests/benchmarks/peers.txt`), since MosaicML Streaming needs
`transformers` < 5. torch is the same; torchvision, which Streaming imports and does not use here, is a stub.""",
    ]
    if "gcs" in record:
        parts += [
            f"""## On a server that speaks GCS

fake-gcs-server on the same machine, {record["gcs_samples"]:,} samples ({record["gcs_samples"] * SAMPLE_MB:.0f} MB);
its own work counts in every number. The limit: as many bytes in objects of 32 MiB, one request each. The
libraries were not run here: MosaicML Streaming asks Google for credentials first, WebDataset calls `gsutil`, and
LitData downloads whole chunks to the local disk and reads them there.""",
            throughput(record["gcs"], ["write", "epoch"], record["gcs_samples"], ["bare requests"]),
            latencies(record["gcs"], ["a random sample"], {}),
        ]
    parts += [
        """## What compression would cost

One shard of 512 samples, page cache warm, without `sync`. The shards are not compressed, so that reading is a copy
and a checksum, and every row has its place.""",
        table(["", "write", "read", "size"], codecs),
    ]
    if "growth" in record:
        parts += [
            """## As the rows grow

Shards of 512; the shards' commit records are written without shards. Seconds, and what the process's memory grew by
at its peak, which follows the number of shards. `plan` asks an unfinished store which shards are committed; `ls` looks
at every object.""",
            growth_table(record["growth"]),
        ]
    return "\n\n".join(parts) + "\n"
