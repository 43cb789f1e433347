"""Read the teacher's trajectories, and find the best timesteps on them by dynamic programming."""

from typing import TYPE_CHECKING, Any

import numpy as np

from crf.stages.arrays import STEP_50, TRAJECTORY_PRODUCTS, TRAJECTORY_STATE, TRAJECTORY_X0
from flows.parameters.searching import SearchParameters
from flows.shards.teachers import fingerprint_parts, read_shape
from storage import LatentStore, UserError
from storage.identity import read_identity
from storage.model_files.folders import local_folder

if TYPE_CHECKING:
    from crf.search.candidates import Space


def check_trajectories(params: SearchParameters) -> None:
    """Raise UserError unless the store holds this teacher's trajectories, at this guidance scale, size and dtype."""
    identity = read_identity(params.trajectories)
    names = LatentStore.open(params.trajectories).names if identity.stage == "teach" else []
    if TRAJECTORY_PRODUCTS not in names and TRAJECTORY_STATE not in names:
        raise UserError(
            "a teacher store with trajectories", f"none at {params.trajectories}", "run teach --trajectory products"
        )
    parts = {f"teacher.{part}": value for part, value in fingerprint_parts(params.teacher, params.root).items()}
    changed = sorted(name for name, value in identity.inputs.items() if parts.get(name, value) != value)
    if changed:
        raise UserError(
            "the trajectories of this teacher", f"another {', '.join(changed)}", "run teach with this teacher"
        )
    size = read_shape(params.teacher).side(params.size)
    for name, wanted in (("guidance_scale", params.guidance_scale), ("size", size), ("dtype", params.dtype)):
        if identity.parameters[name] != wanted:
            raise UserError(
                f"{name} {identity.parameters[name]}, as the trajectories have", str(wanted), f"change --{name}"
            )


def read_products(url: str) -> Any:
    """Read the products of each valid caption's trajectory, float64 (N, 101, 101), from a teacher store."""
    store = LatentStore.open(url)
    if TRAJECTORY_PRODUCTS in store.names:
        return np.asarray(store[TRAJECTORY_PRODUCTS][:])[store.valid]
    return np.concatenate([multiply_shard(store, shard) for shard in range(store.shard_count)])[store.valid]


def multiply_shard(store: LatentStore, shard: int) -> Any:
    """Compute the products of a shard's trajectories from its states and x0 predictions."""
    import torch

    from crf.search.costs import multiply_trajectory

    extent = store.extent(shard)
    states, x0s, end = (
        torch.from_numpy(np.asarray(store[name][extent])).float() for name in (TRAJECTORY_STATE, TRAJECTORY_X0, STEP_50)
    )
    return multiply_trajectory([*states.unbind(1), end], list(x0s.unbind(1)))


def make_space(params: SearchParameters) -> "Space":
    """Make what the candidates are made from: local errors, best paths, and the cost of DeepCache."""
    from crf.schedule import TEACHER_STEPS
    from crf.search.candidates import Space
    from crf.search.costs import compute_first_order, compute_levels, compute_second_order
    from crf.search.dynamic_programming import find_first_order_paths, find_second_order_paths
    from crf.teacher.teacher import Teacher

    teacher = Teacher.load(local_folder(params.teacher))
    timesteps = list(teacher.noise_schedule.timesteps(TEACHER_STEPS))
    levels = compute_levels(teacher.noise_schedule, timesteps)
    products_NPP = read_products(params.trajectories)
    first_SS, second_SSS = compute_first_order(products_NPP, *levels), compute_second_order(products_NPP, *levels)
    paths = {"ddim": find_first_order_paths(first_SS), "dpm++": find_second_order_paths(first_SS, second_SSS)}
    shallow = count_shallow_share(teacher, read_shape(params.teacher).side(params.size))
    guided = params.guidance_scale > 1
    lead_to = find_crf_place(params, teacher)
    return Space(teacher.noise_schedule, timesteps, first_SS, paths, guided, shallow, lead_to, can_correct(params))


def count_shallow_share(teacher: Any, size: int) -> float | None:
    """Count the FLOPs of an evaluation with cached deep features, as a share of a whole one. None without a U-Net."""
    from crf.errors import TeacherError
    from crf.evaluation.costs import count_part_flops, count_shallow_flops

    try:
        shallow = count_shallow_flops(teacher, "a caption", size)
    except TeacherError:
        return None
    return shallow / count_part_flops(teacher, None, "a caption", size)["pass"]


def find_crf_place(params: SearchParameters, teacher: Any) -> float | None:
    """Return the timestep at which the lead ended that the CRF was distilled on. None without a CRF that has a lead."""
    from crf.sampling.paths import find_lead_end
    from crf.schedule import PAPERS_LEAD, Schedule
    from flows.training.crf_files import read_config

    if params.crf is None or can_correct(params):
        return None
    lead = Schedule.parse_lead(read_config(params.crf).get("lead") or PAPERS_LEAD)
    return find_lead_end(teacher.noise_schedule, lead)


def can_correct(params: SearchParameters) -> bool:
    """Return whether there is a CRF that corrects evaluations anywhere, because it is told their timesteps."""
    from flows.training.crf_files import read_config

    return params.crf is not None and bool(read_config(params.crf).get("with_timesteps"))
