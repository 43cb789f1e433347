"""What the paper-size CRF costs beside the U-Net evaluations that it replaces.

    python -m tests.benchmarks.crf_cost [--rounds 5] [--output FILE.json]

The U-Net has the shape of Stable Diffusion 2.1's (866 M parameters) on 64x64x8 latents, with
random weights: cost depends on shapes alone. Both models run in turns in one process, so the
ratios hold under whatever else the machine does; the fastest of each counts.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from crf.model.config import LatentCRFConfig
from crf.model.latent_crf import LatentCRF
from tests.support.memory import peak_mib

CHANNELS, SIDE, TEXT_WIDTH, BATCH = 8, 64, 1024, 16


def sd21_unet() -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=SIDE,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        block_out_channels=(320, 640, 1280, 1280),
        attention_head_dim=(5, 10, 20, 20),
        cross_attention_dim=TEXT_WIDTH,
        use_linear_projection=True,
    )


def flops(run: Callable[[], Any]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def fastest(runs: dict[str, Callable[[], Any]], rounds: int, device: str) -> dict[str, float]:
    """Seconds of each, in turns."""
    best = dict.fromkeys(runs, float("inf"))
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if device == "cuda":
                torch.cuda.synchronize()
            if number:  # the first round warms up
                best[name] = min(best[name], time.perf_counter() - start)
    return best


@torch.no_grad()
def inference(rounds: int, device: str, dtype: torch.dtype) -> dict[str, Any]:
    torch.manual_seed(0)
    unet = sd21_unet().to(device, dtype).eval()
    crf = LatentCRF(LatentCRFConfig.paper()).to(device, dtype).eval()
    z_BCHW = torch.randn(1, CHANNELS, SIDE, SIDE, device=device, dtype=dtype)
    pooled_BD = torch.randn(1, TEXT_WIDTH, device=device, dtype=dtype)
    text_BLD = torch.randn(2, 77, TEXT_WIDTH, device=device, dtype=dtype)

    def evaluation() -> Any:
        return unet(z_BCHW, 500, text_BLD[:1])

    def guided_step() -> Any:
        return unet(torch.cat([z_BCHW] * 2), 500, text_BLD)

    def inference_of_the_crf() -> Any:
        return crf(z_BCHW, pooled_BD)

    crf_flops, unet_flops = flops(inference_of_the_crf), flops(evaluation)
    seconds = fastest({"crf": inference_of_the_crf, "guided step": guided_step}, rounds, device)
    share = seconds["crf"] / seconds["guided step"]
    return {
        "unet_parameters": sum(p.numel() for p in unet.parameters()),
        "crf_parameters": sum(p.numel() for p in crf.parameters()),
        "crf_gflop": crf_flops / 1e9,
        "unet_gflop": unet_flops / 1e9,
        "flops_of_an_evaluation": crf_flops / unet_flops,
        "crf_seconds": seconds["crf"],
        "guided_step_seconds": seconds["guided step"],
        "time_of_a_guided_step": share,
        "time_of_50_steps": (33 + share) / 50,
    }


def training_step(device: str) -> dict[str, float]:
    """Peak memory of one step at batch 16, as the process and the optimizer see it."""
    crf = LatentCRF(LatentCRFConfig.paper()).to(device).train()
    optimizer = torch.optim.AdamW(crf.parameters())
    z_BCHW = torch.randn(BATCH, CHANNELS, SIDE, SIDE, device=device)
    text_BD = torch.randn(BATCH, TEXT_WIDTH, device=device)
    start = time.perf_counter()
    for _ in range(2):  # the optimizer's moments appear with the first
        crf(z_BCHW, text_BD).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    seconds = (time.perf_counter() - start) / 2
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else peak_mib() * 2**20
    return {"training_step_peak_gib": peak / 2**30, "training_step_seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--only-training-step", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if args.only_training_step:
        print(json.dumps(training_step(device)))
        return
    dtype = torch.float16 if device == "cuda" else torch.float32
    hardware = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
    record = {"device": f"{device}, {hardware}", "dtype": str(dtype), "torch": torch.__version__}
    record |= {"machine": platform.machine()} | inference(args.rounds, device, dtype)
    # In a process of its own, so that its peak is its own.
    command = [sys.executable, "-m", "tests.benchmarks.crf_cost", "--only-training-step"]
    record |= json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for name, value in record.items():
        print(f"{name:>28}  {value:.4g}" if isinstance(value, float) else f"{name:>28}  {value}")
    if args.output:
        args.output.parent.mkdir(exist_ok=True)
        args.output.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
