"""The controls of each group: every method that needs no trained network, at about the group's cost."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from crf.evaluation.costs import count_part_flops, count_shallow_flops
from crf.evaluation.methods import Method, find_start, list_every_method, list_samplers
from crf.front import Front
from crf.sampling.paths import count_passes
from crf.schedule import TEACHER_STEPS, Schedule
from crf.search.costs import compute_first_order, compute_levels, compute_second_order
from crf.search.dynamic_programming import Paths, find_first_order_paths, find_second_order_paths
from crf.stages.arrays import TRAJECTORY_PRODUCTS
from crf.stages.teach import TeachTrajectories
from crf.teacher.teacher import Teacher
from tests.benchmarks.ablation.forms import GROUPS, LEADS
from tests.benchmarks.ablation.samples import Samples

CAPTION = "a red apple"  # whose evaluation's FLOPs are counted; those of others are equal


@dataclass(frozen=True)
class Cost:
    """What a schedule costs. ``shallow``: an evaluation that reuses deep features, as a share of a whole one."""

    teacher: Teacher
    guided: bool
    shallow: float

    @classmethod
    def measure(cls, teacher: Teacher, guidance_scale: float) -> "Cost":
        """Count the FLOPs that DeepCache saves."""
        size = teacher.default_size
        whole = count_part_flops(teacher, None, CAPTION, size)["pass"]
        return cls(teacher, guidance_scale > 1, count_shallow_flops(teacher, CAPTION, size) / whole)

    def count_passes(self, schedule: Schedule) -> float:
        """Count the passes through the U-Net, two per guided evaluation."""
        return count_passes(self.teacher.noise_schedule, schedule, self.guided, self.shallow)

    def find_group(self, schedule: Schedule) -> int:
        """Return the group whose number of guided evaluations is nearest to the cost."""
        evaluations = self.count_passes(schedule) / (2 if self.guided else 1)
        return min(GROUPS, key=lambda group: abs(group - evaluations))


def find_baseline(teacher: Teacher, group: int) -> str:
    """Return what the group's methods are compared with: DDIM, evenly from the teacher's first timestep."""
    return str(Schedule(group, lead_from=find_start(teacher.noise_schedule)))


def list_controls(cost: Cost, group: int, paths: dict[str, Paths], front: Front | None) -> list[Method]:
    """List the group's controls, each once."""
    found: dict[tuple[str, Schedule], Method] = {}
    points = list_front(cost, group, front) if front else ()
    for method in (*list_common(cost, group), *list_searched(cost.teacher, group, paths), *points):
        found.setdefault((method.kind, method.schedule), method)
    return list(found.values())


def list_common(cost: Cost, group: int) -> Iterator[Method]:
    """Yield the evaluation's methods that need no network: after each of the group's leads, and samplers alone."""
    noise_schedule = cost.teacher.noise_schedule
    leads = [lead for lead, evaluations in LEADS.items() if evaluations == group]
    listed = [list_every_method(lead, noise_schedule) for lead in leads]
    for methods in listed or [list_samplers(group, find_start(noise_schedule))]:
        for method in methods:
            if method.schedule.deepcache > 1:
                belongs = cost.find_group(method.schedule) == group
            else:
                belongs = method.kind in ("sampler", "control") and method.key != "none_0"
            if belongs:
                yield method


def list_searched(teacher: Teacher, group: int, paths: dict[str, Paths]) -> Iterator[Method]:
    """Yield the samplers at the timesteps that dynamic programming finds."""
    visited = teacher.noise_schedule.timesteps(TEACHER_STEPS)
    for solver, label in (("ddim", "DDIM"), ("dpm++", "DPM++")):
        timesteps = tuple(teacher.noise_schedule.check_timestep(visited[stop]) for stop in paths[solver][group])
        schedule = Schedule(group, lead_timesteps=timesteps, solver=solver)  # type: ignore[arg-type]
        yield Method(f"{solver}_searched", f"{group}-step {label}, dynamic pr.", schedule, "sampler")


def list_front(cost: Cost, group: int, front: Front) -> Iterator[Method]:
    """Yield the front's schedules of the group's cost, but for those with a CRF."""
    for point in front.points:
        schedule = Schedule.parse(point.schedule)
        if not schedule.crfs and cost.find_group(schedule) == group:
            yield Method(f"front_{point.evaluations}", f"front, {point.evaluations} evaluations", schedule, "front")


def find_paths(teacher_path: Path, guidance_scale: float, count: int) -> dict[str, Paths]:
    """Find the best stops of the teacher's 50 steps for each solver, on the first training captions' trajectories."""
    samples = Samples.draw("images/train.parquet", count, 0)
    teacher = Teacher.load(teacher_path)
    size, threads = teacher.default_size, torch.get_num_threads()
    teach = TeachTrajectories(str(teacher_path), "cpu", threads, guidance_scale, size, trajectory="products")
    rows = {
        "caption": np.array(samples.captions),
        "seed": np.array(samples.seeds, np.uint64),
        "valid": np.ones(len(samples.seeds), bool),
    }
    products_NPP = teach(rows)[TRAJECTORY_PRODUCTS]
    noise_schedule = teacher.noise_schedule
    levels = compute_levels(noise_schedule, list(noise_schedule.timesteps(TEACHER_STEPS)))
    first_SS, second_SSS = compute_first_order(products_NPP, *levels), compute_second_order(products_NPP, *levels)
    return {"ddim": find_first_order_paths(first_SS), "dpm++": find_second_order_paths(first_SS, second_SSS)}
