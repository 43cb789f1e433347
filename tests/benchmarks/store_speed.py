"""The latent store beside its peers, in one run: seconds of writing and reading the same samples.

    python -m tests.benchmarks.store_speed [--samples 20000] [--rounds 3] [--output docs/store_speed]

Each method runs in a process of its own, in turns; the fastest round of each operation counts. The peers
come into an environment of their own below the work folder, for one of them needs older versions.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.store_codecs import codec_costs
from tests.benchmarks.store_gcs import gcs_speed
from tests.benchmarks.store_growth import growth
from tests.benchmarks.store_method import METHODS
from tests.benchmarks.store_methods import latents
from tests.benchmarks.store_report import report

HERE, LATENTS = Path(__file__).parent, "latents.npy"
PARTS = ["local", "codecs", "gcs", "growth"]
PEERS = {"MosaicML Streaming": "mosaicml-streaming", "WebDataset": "webdataset", "LitData": "litdata"}
Results = dict[str, dict[str, float]]


def peers_python(folder: Path) -> Path:
    """An interpreter that has the peers, whose versions peers.txt fixes."""
    python = folder / "bin/python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", HERE / "peers.txt"], check=True)
    return python


def versions(python: Path | str) -> dict[str, str]:
    code = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    found = json.loads(subprocess.run([python, "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout)
    return {name: found[name] for name in (*PEERS.values(), "torch") if name in found}


def local_speed(pythons: dict[str, Path], folder: Path, samples: int, random: int, rounds: int) -> Results:
    """Method -> operation -> seconds, the fastest of the rounds; of its peak memory the highest."""
    best: Results = {}
    for number in range(rounds):
        for name, python in pythons.items():
            place = folder / "samples"
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            command = [
                str(python),
                "-m",
                "tests.benchmarks.store_method",
                name,
                str(place),
                str(samples),
                str(random),
                str(folder / LATENTS),
            ]
            environment = {**os.environ, "PYTHONPATH": str(HERE.parent.parent)}
            run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            for operation, value in json.loads(run.stdout.splitlines()[-1]).items():
                better = max if operation == "peak MiB" else min
                held = best.setdefault(name, {})
                held[operation] = better(held.get(operation, value), value)
            print(f"round {number + 1}: {name}", file=sys.stderr)
    shutil.rmtree(folder / "samples")
    return best


def machine() -> dict[str, Any]:
    cpus = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":")[1].strip() for line in cpus.splitlines() if line.startswith("model name")), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"cores": os.cpu_count(), "processor": model or platform.machine(), "memory_gib": round(memory)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--gcs-samples", type=int, default=2_560)
    parser.add_argument("--random", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 1_000_000, 10_240_000])
    parser.add_argument("--work", type=Path, default=Path("runs/store_speed"))
    parser.add_argument("--disk", default="local disk", help="what kind of disk the work folder is on, for the report")
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS, help="the others stay as --output has them")
    args = parser.parse_args()
    if args.only != PARTS and not args.output:
        parser.error("--only needs --output, which has the other parts")
    work = args.work.make_absolute()
    own = Path(sys.executable)
    pythons = dict.fromkeys((name for name in METHODS if name not in PEERS), own)
    if not args.without_peers:
        peers = peers_python(work / "peers")
        pythons |= dict.fromkeys(PEERS, peers)
    source = latents()
    work.mkdir(parents=True, exist_ok=True)
    np.save(work / LATENTS, source)
    record = json.loads(args.output.with_suffix(".json").read_text()) if args.only != PARTS else {"commands": []}
    record["commands"].append(f"python -m tests.benchmarks.store_speed {shlex.join(sys.argv[1:])}")
    record |= {
        "machine": {**machine(), "disk": args.disk},
        "versions": {name: importlib.metadata.version(name) for name in ("zarr", "numpy", "torch", "fsspec", "gcsfs")}
        | (versions(peers) if not args.without_peers else {}),
        "samples": args.samples,
        "gcs_samples": args.gcs_samples,
    }
    parts: dict[str, Callable[[], Any]] = {
        "local": lambda: local_speed(pythons, work, args.samples, args.random, args.rounds),
        "codecs": lambda: codec_costs(work / "codecs", source),
        "gcs": lambda: gcs_speed(work / "gcs", source, args.gcs_samples, args.rounds),
        "growth": lambda: growth(work, args.rows),
    }
    for name in args.only:
        record[name] = parts[name]()
        if args.output:  # after each, for a long run may be cut short
            args.output.parent.mkdir(exist_ok=True)
            args.output.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n")
    text = report(record)
    print(text)
    if args.output:
        args.output.with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
