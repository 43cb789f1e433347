"""Which parts of the CRF earn their place, against every control of equal or lower cost.

    python -m tests.benchmarks.ablation [--pairs 512] [--heldout 96] [--steps 1500] [--seeds 3] [--output docs/ablation]

On the demo's teacher: pairs on training captions are taught once (a ``teach`` store below --root,
cached like any other), each form is trained on them with every seed, and the latents that each
schedule ends with are compared with the teacher's own 50 steps from the same noise, on captions
that nothing was trained on. Writes OUTPUT.json and OUTPUT.md.
"""

import argparse
import json
import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from crf.config import ABLATIONS, LatentCRFConfig
from crf.convnet import ConvNet
from crf.feature_caching import with_cached_features
from crf.model import LatentCRF
from crf.noise import sample_noise, sample_seed
from crf.optimization import Optimization, TrainingState
from crf.sampling import finish, lead
from crf.schedule import Schedule
from crf.teacher import Teacher
from crf.training import teacher_pairs
from flows.parameters import TeachParameters
from flows.stage import run_stage
from flows.teach import TEACH
from storage import LatentStore
from storage.captions import scan_captions
from storage.reader import shuffled_batches

DEMO = Path(__file__).parents[2] / "deploy/demo"
# The lead and what follows a hand-over near t = 201, at two thirds, half and a third of 50 evaluations.
FULL = Schedule.parse("50/50")
BUDGETS = {33: "31/40", 25: "23/30", 17: "15/20"}
# (name, schedule after the lead, hand-over)
ENDINGS = (
    ("+0", "", "direct"),
    ("+2 direct", "2/50", "direct"),
    ("+2 consistent", "2/50", "consistent"),
    ("+2@101,21 consistent", "2@101,21", "consistent"),
    ("+2@101,21 recomputed", "2@101,21", "recomputed"),
)
SMALL: dict[str, Any] = {"hidden": 32, "filters": 64, "similarity": "stationary", "iterations": 1}
BEST: dict[str, Any] = {**SMALL, "crf_input": "x0+state", "potentials": "observed"}


@dataclass(frozen=True)
class Form:
    """A row: a network from the latents' shape, and how it is trained."""

    name: str
    build: Callable[[dict[str, int]], nn.Module]
    adversarial_weight: float = 0.0


def crf_form(name: str, adversarial_weight: float = 0.0, **changes: Any) -> Form:
    return Form(name, lambda shape: LatentCRF(LatentCRFConfig(**shape, **changes)), adversarial_weight)


def convnet_form(width: int) -> Form:
    return Form(f"plain convnet, width {width}", lambda shape: ConvNet(shape["channels"], width))


PAPER: dict[str, Any] = {"hidden": 128, "filters": 128}
FORMS = (
    crf_form("paper's form", **PAPER),
    crf_form("paper's form, adversarial .02", 0.02, **PAPER),
    *[crf_form(name, **{**PAPER, **changes}) for name, changes in ABLATIONS.items()],
    crf_form("on x0, field alone", **SMALL, crf_input="x0"),
    crf_form("on x0 and state, field alone", **SMALL, crf_input="x0+state"),
    crf_form("on x0, observed potentials", **SMALL, crf_input="x0", potentials="observed"),
    crf_form("on x0 and state, observed potentials", **BEST),
    crf_form("the same, 3 iterations", **{**BEST, "iterations": 3}),
    crf_form("the same, without pairwise and text", **BEST, with_pairwise=False),
    crf_form("the same, dense similarities", **{**BEST, "similarity": "dense"}),
    convnet_form(32),
    convnet_form(64),
)
CONTROLS = (
    ("DDIM", "{n}/{n}"),
    ("DPM-Solver++", "{n}/{n} (dpm++)"),
    ("scheduled jump", "{lead} + 2@201,21"),
    ("x0", "{lead} + x0"),
    ("x0, last evaluations as the paper's", "{lead} + x0 + 2/50 (consistent)"),
    ("x0, last evaluations placed", "{lead} + x0 + 2@101,21 (consistent)"),
)


@dataclass(frozen=True)
class Heldout:
    """Captions that nothing was trained on, their noise, and where the teacher's 50 steps end."""

    teacher: Teacher
    guidance: float
    captions: list[str]
    noise_BCHW: Tensor

    def latents(self, schedule: Schedule, network: Any = None) -> Tensor:
        parts = []
        for start in range(0, len(self.captions), 32):
            given = self.teacher.condition(self.captions[start : start + 32], self.guidance)
            reached = lead(self.teacher, schedule, self.noise_BCHW[start : start + 32], given)
            parts.append(finish(self.teacher, schedule, reached, given, network))
        return torch.cat(parts)


class Endings:
    """A lead's results, kept, so that every network is tried on the same ones."""

    def __init__(self, heldout: Heldout, lead_text: str) -> None:
        self.heldout, self.lead_text = heldout, lead_text
        self.schedule = Schedule.parse(lead_text)
        self.parts = []
        for start in range(0, len(heldout.captions), 32):
            given = heldout.teacher.condition(heldout.captions[start : start + 32], heldout.guidance)
            noise = heldout.noise_BCHW[start : start + 32]
            self.parts.append((lead(heldout.teacher, self.schedule, noise, given), given))

    def latents(self, middle: str, tail: str, handover: Any, network: Any = None) -> Tensor:
        text = " + ".join(filter(None, [self.lead_text, middle, tail]))
        schedule = Schedule.parse(text, handover)
        return torch.cat([finish(self.heldout.teacher, schedule, *part, network) for part in self.parts])


def train(form: Form, store: LatentStore, shape: dict[str, int], steps: int, seed: int) -> Any:
    torch.manual_seed(seed)
    state = TrainingState(form.build(shape), Optimization(steps, 1e-3, 50, form.adversarial_weight, ema_decay=0.99))
    names = ["inference_state", "inference_x0", "step_50", "text"]
    batches = teacher_pairs(shuffled_batches(store, names, 16, seed), state="inference_state", x0="inference_x0")
    for _ in range(steps):
        state.step(next(batches))
    return state.result


def mse(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).square().mean())


@torch.no_grad()
def cost(network: nn.Module, shape: dict[str, int]) -> tuple[int, float]:
    """Parameters, and MFLOP an image."""
    z = torch.zeros(1, shape["channels"], shape["height"], shape["width"])
    with FlopCounterMode(display=False) as counter:
        network(z, torch.zeros(1, shape["text_width"]), z)
    flops = counter.get_total_flops() + (fft_flops(network.settings) if isinstance(network, LatentCRF) else 0)
    return sum(p.numel() for p in network.parameters()), flops / 1e6


def fft_flops(config: LatentCRFConfig) -> float:
    """Of the stationary similarities, which torch does not count: 2.5 P log2 P a real transform of P places."""
    if config.similarity == "dense" or not config.with_pairwise:
        return 0.0
    places = 4 * config.height * config.width
    transforms = config.heads + config.iterations * config.potential_channels * (1 + config.heads)
    return transforms * 2.5 * places * math.log2(places)


@torch.no_grad()
def shallow_share(cached: Heldout) -> float:
    """Of the U-Net's FLOPs, in a call that remembers the deep features."""
    given, flops = cached.teacher.condition(cached.captions[:1], cached.guidance), []
    for _ in range(2):
        with FlopCounterMode(display=False) as counter:
            cached.teacher.guided_output(cached.noise_BCHW[:1], 501, given)
        flops.append(counter.get_total_flops())
    return flops[1] / flops[0]


def rows(heldout: Heldout, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A record for each control and each form, at each budget."""
    full = heldout.latents(FULL)
    for evaluations, lead_text in BUDGETS.items():
        for name, text in CONTROLS:
            schedule = Schedule.parse(text.format(n=evaluations, lead=lead_text))
            error = mse(heldout.latents(schedule), full)
            yield {"evaluations": schedule.evaluations, "name": name, "ending": str(schedule), "mse": [error]}
        if evaluations == 33:
            cached = replace(heldout, teacher=with_cached_features(heldout.teacher, 2))
            costs = 25 + 25 * shallow_share(cached)
            record = {"evaluations": round(costs), "name": "DeepCache, every other step", "ending": "50/50"}
            yield {**record, "mse": [mse(cached.latents(FULL), full)]}
        store = taught(args, lead_text)
        _, height, width, channels = store["step_50"].shape
        shape = {"height": height, "width": width, "channels": channels, "text_width": store["text"].shape[1]}
        endings = Endings(heldout, lead_text)
        for form in FORMS if evaluations == 33 else [form for form in FORMS if form.name in args.everywhere]:
            networks = [train(form, store, shape, args.steps, seed).eval() for seed in range(args.seeds)]
            parameters, mflop = cost(networks[0], shape)
            for ending, tail, handover in ENDINGS:
                errors = [mse(endings.latents("crf", tail, handover, network), full) for network in networks]
                record = {"evaluations": evaluations - 2 * (not tail), "name": form.name, "ending": ending}
                yield {**record, "mse": errors, "parameters": parameters, "mflop": mflop}


def taught(args: argparse.Namespace, lead_text: str) -> LatentStore:
    params = TeachParameters(
        captions=str(DEMO / "images/train.parquet"),
        teacher=str(DEMO / "teacher"),
        root=args.root,
        limit=args.pairs,
        shard_rows=32,
        guidance=args.guidance,
        inference=lead_text,
    )
    return LatentStore.open(run_stage(TEACH, params, args.root).url)


def markdown(records: list[dict[str, Any]]) -> str:
    lines = ["| evaluations | | ending | latent MSE to full 50 | parameters | MFLOP |", "|--:|---|---|--:|--:|--:|"]
    for record in records:
        spread = f" ± {statistics.stdev(record['mse']):.5f}" if len(record["mse"]) > 1 else ""
        size = f"{record['parameters']:,} | {record['mflop']:.1f}" if "parameters" in record else "| "
        error = f"{statistics.mean(record['mse']):.5f}{spread}"
        lines.append(f"| {record['evaluations']} | {record['name']} | {record['ending']} | {error} | {size} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=512)
    parser.add_argument("--heldout", type=int, default=96)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--guidance", type=float, default=7.5)
    parser.add_argument("--root", default="runs/ablation")
    parser.add_argument("--output", type=Path, default=Path("docs/ablation"))
    args = parser.parse_args()
    args.everywhere = ("on x0 and state, observed potentials", "plain convnet, width 32", "plain convnet, width 64")
    captions = [row["caption"] for row in scan_captions(str(DEMO / "images/heldout.parquet"), args.heldout)]
    teacher = Teacher.load(DEMO / "teacher")
    seeds = [sample_seed(1, caption) for caption in captions]
    noise_BCHW = sample_noise(seeds, teacher.latent_shape(teacher.default_size))
    records = []
    for record in rows(Heldout(teacher, args.guidance, captions, noise_BCHW), args):
        records.append(record)
        print(json.dumps(record), flush=True)
    args.output.parent.mkdir(exist_ok=True)
    args.output.with_suffix(".json").write_text(json.dumps(records, indent=1) + "\n")
    args.output.with_suffix(".md").write_text(markdown(records))


if __name__ == "__main__":
    main()
