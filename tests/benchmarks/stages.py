"""How much of a bare loop's speed encode and teach reach, and what a job costs the driver as its shards grow.

    python -m tests.benchmarks.stages [--parts speed overhead] [--rounds 3] [--output docs/stage_speed]

``speed``: the stage and a bare loop take turns, over the same model, batch and cores; decoding, copying and writing
are part of the stage. ``overhead``: a model that computes next to nothing, so that all is overhead. Every run is a
process of its own. A part that is measured again takes its earlier place in the record.
"""

import argparse
import json
import multiprocessing
import os
import platform
import shlex
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from tests.benchmarks.stages_report import report

IMAGES = Path("deploy/demo/images/train.parquet").absolute()
SHARD_ROWS = 64
AFTER = 50  # shards, before the overhead is measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", choices=["speed", "overhead"], default=["speed", "overhead"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--per-core", type=int, default=4, help="shards of 64 rows per core and round")
    parser.add_argument("--shards", type=int, nargs="*", default=[500, 2_000, 20_000])
    parser.add_argument("--tiny", action="store_true", help="a toy teacher, to try the script")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    file = args.output and args.output.with_suffix(".json")
    record = json.loads(file.read_text()) if file and file.exists() else {"parts": {}}
    for part in args.parts:
        rows = measure_speed(args) if part == "speed" else [measure_overhead(shards) for shards in args.shards]
        command = f"python -m tests.benchmarks.stages {shlex.join(sys.argv[1:])}"
        machine = {"cores": os.cpu_count(), "processor": platform.machine(), "python": platform.python_version()}
        record["parts"][part] = {"command": command, "machine": machine, "rows": rows}
        if file:
            file.write_text(json.dumps(record, indent=1) + "\n")
            args.output.with_suffix(".md").write_text(report(record))


def measure_speed(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure encode and teach in turns with their bare loops."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        teacher, size = run_apart(save_teacher, folder, args.tiny)
        for stage in ("encode", "teach"):
            for number in range(args.rounds):
                row = {
                    "stage": stage,
                    "size": size,
                    **compare(stage, teacher, size, args.per_core, f"{folder}/{number}"),
                }
                print(json.dumps(row), file=sys.stderr, flush=True)
                found.append(row)
    return found


def save_teacher(folder: str, tiny: bool) -> tuple[str, int]:
    """Save a random teacher; return its folder and the pixels per side."""
    from tests.benchmarks.teacher_sizes import make_small
    from tests.support.teachers import save_pipeline, tiny_pipeline

    pipeline = tiny_pipeline(4) if tiny else make_small()
    save_pipeline(pipeline, Path(folder) / "teacher")
    return f"{folder}/teacher", pipeline.vae_scale_factor * pipeline.unet.config.sample_size


def compare(stage: str, teacher: str, size: int, per_core: int, root: str) -> dict[str, float]:
    """Run the bare loop, then the stage with an actor per core, each with ``per_core`` shards after its first one."""
    from tests.benchmarks.bare_loops import measure_bare

    cores = os.cpu_count() or 1
    bare = measure_bare(stage, teacher, size, per_core * SHARD_ROWS // 16, cores)
    ours = run_apart(run_real_stage, stage, teacher, root, cores * (per_core + 1), cores)
    rows = SHARD_ROWS * ours["shards"]
    return {
        "rows_per_second": rows / ours["seconds"],
        "bare_rows_per_second": bare["rows"] / bare["seconds"],
        "ratio": rows / ours["seconds"] * bare["seconds"] / bare["rows"],
        "cpu_seconds_per_row": ours["cpu_seconds"] / rows,
        "bare_cpu_seconds_per_row": bare["cpu_seconds"] / bare["rows"],
        "load": ours["load"],
    }


def run_real_stage(stage: str, teacher: str, root: str, shards: int, cores: int) -> dict[str, float]:
    from flows.encode import ENCODE
    from flows.parameters.latents import EncodeParameters, TeachParameters
    from flows.parameters.running import Resources
    from flows.teach import TEACH
    from tests.benchmarks.stage_runs import measure_stage

    common = {"teacher": teacher, "root": root, "resources": Resources(actors=cores)}
    common |= {"shard_rows": SHARD_ROWS, "limit": SHARD_ROWS * shards}
    if stage == "encode":
        return measure_stage(ENCODE, EncodeParameters.model_validate({**common, "images": str(IMAGES)}), cores)
    captions = Path(teacher).parent / "captions.txt"
    captions.write_text("".join(f"thing {number}\n" for number in range(SHARD_ROWS * shards)))
    return measure_stage(TEACH, TeachParameters.model_validate({**common, "captions": str(captions)}), cores)


def measure_overhead(shards: int) -> dict[str, float]:
    """Measure the whole stage of the chaos tests, whose actor draws 8 small rows a shard."""
    with tempfile.TemporaryDirectory() as root:
        row: dict[str, float] = {"all_shards": shards, **run_apart(run_stub_stage, root, shards)}
    print(json.dumps(row), file=sys.stderr, flush=True)
    return row


def run_stub_stage(root: str, shards: int) -> dict[str, float]:
    from tests.benchmarks.stage_runs import measure_stage
    from tests.support.chaos.stage import CHAOS, Parameters

    return measure_stage(CHAOS, Parameters(root=root, shards=shards, seconds=0), AFTER)


def run_apart(function: Any, *arguments: Any) -> Any:
    """Call a function in a new process, so that nothing of an earlier run is left in it."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


if __name__ == "__main__":
    main()
