"""teach: captions -> teacher store."""

from typing import Any

import numpy as np
from prefect import flow

from crf.ddim import NoiseLevels
from crf.noise import sample_seed
from crf.teach import HAND_OVER, STEPS, TeachTrajectories
from crf.teacher_folder import TeacherShape, teacher_fingerprints
from flows.parameters import TeachParameters
from flows.progress import Progress
from flows.ray_session import ray_session
from flows.sharded import compute_shards
from flows.stage import Stage, StageResult, Work, prefect_state, provenance, run_stage, unfinished
from storage import ArraySpec, Identity, LatentStore
from storage.captions import scan_captions
from storage.identity import fingerprint_rows
from storage.index import index_tables


class SeedRows:
    """Index columns -> the same with each row's own seed."""

    def __init__(self, run_seed: int) -> None:
        self.run_seed = run_seed

    def __call__(self, block: dict[str, Any]) -> dict[str, Any]:
        seeds = np.array([sample_seed(self.run_seed, str(name)) for name in block["id"]], dtype=np.uint64)
        return {**block, "seed": seeds}


def identify(params: TeachParameters) -> tuple[Identity, int]:
    size = params.size or TeacherShape.read(params.teacher).default_size
    teacher = {f"teacher.{part}": value for part, value in teacher_fingerprints(params.teacher).items()}
    del teacher["teacher.vae"]  # trajectories never leave latent space
    captions, count = fingerprint_rows(scan_captions(params.captions, params.limit))
    parameters = {
        "size": size,
        "shard_rows": params.shard_rows,
        "guidance": params.guidance,
        "seed": params.seed,
        "steps": STEPS,
        "hand_over": HAND_OVER,
    }
    return Identity("teach", 1, {"captions": captions, **teacher}, parameters), -(-count // params.shard_rows)


def compute(params: TeachParameters, work: Work, progress: Progress) -> None:
    teacher = TeacherShape.read(params.teacher)
    size = work.identity.parameters["size"]
    channels, height, width = teacher.latent_shape(size)
    latent = ArraySpec.latent(height, width, channels)
    _, count = fingerprint_rows(scan_captions(params.captions, params.limit))
    store = LatentStore.create(
        work.url,
        {"step_40": latent, "step_50": latent, "text": ArraySpec.vector(teacher.text_width)},
        index_tables(scan_captions(params.captions, params.limit), params.shard_rows),
        count=count,
        shard_rows=params.shard_rows,
        provenance=provenance(
            work,
            scheduler=teacher.scheduler_config,
            timesteps=NoiseLevels(teacher.scheduler_config).timesteps(STEPS),
            dtype="float32",
        ),
    )
    arguments = {"teacher_path": params.teacher, "guidance": params.guidance, "size": size}
    with ray_session():
        for _ in compute_shards(store, unfinished(store), SeedRows(params.seed), TeachTrajectories, arguments):
            progress.advance()
    store.seal()


TEACH = Stage("teach", identify, compute)


@flow(name="teach")
def teach(params: TeachParameters) -> StageResult:
    """Captions -> teacher store of trajectories' states at steps 40 and 50."""
    return prefect_state(run_stage(TEACH, params, params.root))  # type: ignore[return-value]
