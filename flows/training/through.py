"""The objective of a CRF inside a schedule: the latents at the schedule's end."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from crf.model.latent_crf import LatentCRF
from crf.schedule import Schedule
from crf.stages.arrays import STEP_50, TEXT
from crf.teacher.teacher import Teacher
from crf.training.pairs import Pairs
from crf.training.through import Through, check_through, make_ends
from crf.training.trainer import TrainerConfig
from flows.parameters.training import DistillParameters
from flows.shards.teachers import fingerprint_parts
from flows.training.batches import Share, check_rows, read_batches
from flows.training.crf_files import load_crf, read_config
from flows.training.objectives import check_shape, pick_common_options
from storage import LatentStore, UserError, locations
from storage.model_files.folders import local_folder
from storage.store.index import read_index_shards
from storage.store.layout import INDEX


@dataclass(frozen=True)
class ThroughObjective:
    """Stage 2 inside a schedule: the teacher's final latents, from its noise, with gradients through the teacher."""

    options: DistillParameters

    @property
    def schedule(self) -> Schedule:
        """The schedule to train through."""
        return check_through(str(self.options.through))

    def check(self) -> None:
        check_rows(self.options.pairs, self.options.workers)
        check_through(str(self.options.through))
        config = read_config(self.options.initial)
        if not config.get("with_timesteps") or config["normalizer"] != "batch":
            raise UserError(
                "a CRF that is told its timesteps and has batch-norm, to stand at several places",
                f"{config.get('with_timesteps')} and {config['normalizer']} in {self.options.initial}",
                "train one with --crf.with-timesteps",
            )
        check_shape(self.options, STEP_50)
        store = LatentStore.open(self.options.pairs)
        taught = {name: value for name, value in store.provenance["inputs"].items() if name.startswith("teacher.")}
        given = fingerprint_parts(str(self.options.teacher), self.options.root)
        if changed := sorted(
            name for name, value in taught.items() if given.get(name.removeprefix("teacher.")) != value
        ):
            raise UserError("the teacher of the pairs", f"one of another {', '.join(changed)}", "give that of teach")

    def make_trainer_config(self) -> TrainerConfig:
        return TrainerConfig(**pick_common_options(self.options), frozen_statistics=True)

    def build_crf(self) -> LatentCRF:
        crf = load_crf(self.options.initial)
        crf.reset_corrections()
        crf.record_place(None, None, str(self.schedule))
        return crf

    def read_pairs(self, first_step: int, share: Share, device: torch.device) -> Iterator[Pairs]:
        store = LatentStore.open(self.options.pairs)
        parameters = store.provenance["parameters"]
        teacher = Teacher.load(
            local_folder(str(self.options.teacher)), str(device), getattr(torch, parameters["dtype"])
        )
        through = Through(teacher, self.schedule, parameters["guidance_scale"])
        tables = read_index_shards(locations.join(self.options.pairs, INDEX))
        captions = [caption for table in tables for caption in table["caption"].to_pylist()]
        seeds = np.asarray(store["seed"]).tolist()
        stored = read_batches(self.options.pairs, [STEP_50, TEXT], self.options.seed, first_step, share)
        return make_ends(stored, captions, seeds, through)
