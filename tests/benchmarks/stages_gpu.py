"""How fast encode and teach compute on a GPU, beside a bare diffusers loop in the same run, and how busy the GPU is.

    python -m tests.benchmarks.stages_gpu [--families sd sdxl] [--batches 2] [--rounds 3] [--output FILE.json]

It needs torch, diffusers and transformers, and neither Ray nor Prefect. The teachers have the sizes of SD 1.5 and SDXL
and random weights. The stage and the bare loop take turns; the median of the rounds counts. ``--tiny`` runs a toy
teacher on whatever device there is, to try the script.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crf.device import Precision, choose_device, synchronize
from crf.stages.encode import EncodeImages
from crf.stages.micro_batches import MICRO_BATCH
from crf.stages.teach import TeachTrajectories
from tests.benchmarks.teacher_sizes import SIZES
from tests.support.teachers import save_pipeline, tiny_pipeline

DTYPES: list[Precision] = ["float32", "bfloat16"]


@contextmanager
def watch_gpu(shares: list[int]) -> Iterator[None]:
    """Append the GPU's busy share in percent, five times a second, while the block runs. Nothing without a GPU."""
    if not torch.cuda.is_available():
        yield
        return
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield
        finally:
            process.terminate()
            shares += [int(line) for line in process.communicate()[0].split() if line.isdigit()]


def time_turns(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Run each once to warm up, then all in turns; return each one's median seconds."""
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            synchronize()
            start = time.perf_counter()
            run()
            synchronize()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in seconds.items()}


def make_batch(rows: int, size: int) -> dict[str, Any]:
    pixels = np.random.default_rng(0).integers(0, 256, (rows, size, size, 3), dtype=np.uint8)
    captions = np.array([f"thing {number}" for number in range(rows)], dtype=object)
    seeds = np.arange(rows, dtype=np.uint64)
    return {"image": pixels, "caption": captions, "seed": seeds, "valid": np.ones(rows, bool)}


def encode_bare(teacher: Any, batch: dict[str, Any]) -> None:
    """Encode as a short script would: copy, encode, copy back."""
    vae, pipeline = teacher.vae, teacher.pipeline
    for start in range(0, len(batch["image"]), MICRO_BATCH):
        rows = slice(start, start + MICRO_BATCH)
        pixels = torch.from_numpy(batch["image"][rows]).to(teacher.device).permute(0, 3, 1, 2).to(vae.dtype) / 127.5 - 1
        with torch.no_grad():
            vae.encode(pixels).latent_dist.mode().cpu()
            pipeline.encode_prompt(list(batch["caption"][rows]), teacher.device, 1, False)[0].cpu()


def teach_bare(teacher: Any, batch: dict[str, Any]) -> None:
    """Sample by the teacher's own pipeline, 50 steps with guidance."""
    teacher.pipeline.set_progress_bar_config(disable=True)
    for start in range(0, len(batch["caption"]), MICRO_BATCH):
        prompts = list(batch["caption"][start : start + MICRO_BATCH])
        teacher.pipeline(prompts, num_inference_steps=50, guidance_scale=7.5, output_type="latent").images.cpu()


def measure(
    folder: str, size: int, dtype: Precision, compiled: bool, batches: int, rounds: int
) -> list[dict[str, Any]]:
    """Measure both stages at one precision. The bare loop shares the stage's weights, compiled or not as they are."""
    device, rows, found = choose_device(), batches * MICRO_BATCH, []
    batch = make_batch(rows, size)
    encode = EncodeImages(folder, device, 1, dtype=dtype, compiled=compiled)
    teach = TeachTrajectories(folder, device, 1, 7.5, size, dtype=dtype, compiled=compiled)
    turns: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "encode": (lambda: encode(batch), lambda: encode_bare(encode.teacher, batch)),
        "teach": (lambda: teach(batch), lambda: teach_bare(teach.teacher, batch)),
    }
    for stage, (ours, bare) in turns.items():
        seconds = time_turns({"ours": ours, "bare": bare}, rounds)
        shares: list[int] = []
        with watch_gpu(shares):
            ours()
        found.append(
            {
                "stage": stage,
                "dtype": dtype,
                "compiled": compiled,
                "images_per_second": rows / seconds["ours"],
                "bare_images_per_second": rows / seconds["bare"],
                "ratio": seconds["bare"] / seconds["ours"],
                "gpu_busy_percent": shares,
            }
        )
    return found


def describe_device() -> dict[str, Any]:
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else f"cpu, {torch.get_num_threads()} threads"
    return {"device": name, "torch": torch.__version__}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="*", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--batches", type=int, default=2, help="micro-batches of 16 per turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-compile", action="store_true")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    record: dict[str, Any] = {**describe_device(), "rows": []}
    for family in ["tiny"] if args.tiny else args.families:
        with tempfile.TemporaryDirectory() as folder:
            pipeline = tiny_pipeline(4) if args.tiny else SIZES[family]()
            size = pipeline.vae_scale_factor * pipeline.unet.config.sample_size
            save_pipeline(pipeline, Path(folder))
            del pipeline
            for dtype in DTYPES:
                for compiled in [False] if args.without_compile else [False, True]:
                    for row in measure(folder, size, dtype, compiled, args.batches, args.rounds):
                        record["rows"].append({"family": family, "size": size, **row})
                        print(json.dumps(record["rows"][-1]), file=sys.stderr)
                        if args.output:  # after each row: a machine may be lent for minutes
                            args.output.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
