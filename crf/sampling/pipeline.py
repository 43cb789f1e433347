"""Generate with a teacher and a CRF, as a diffusers pipeline."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import DiffusionPipeline
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from crf.errors import TeacherError
from crf.model.latent_crf import LatentCRF
from crf.sampling.sampler import Generators, OnStep, finish, lead, require_crf
from crf.schedule import PAPER, Schedule
from crf.teacher.families import family_name
from crf.teacher.teacher import Teacher

# (pipeline, number of the evaluation, its timestep, {"latents": ...}) -> the same dict, changed or not
Callback = Callable[[Any, int, float, dict[str, Tensor]], dict[str, Tensor]]


@dataclass
class LatentCRFPipelineOutput(BaseOutput):  # type: ignore[misc]
    """``images``: PIL images, an array (B, H, W, 3) or a tensor (B, 3, H, W) in [0, 1], or latents (B, C, H, W)."""

    images: Any


class LatentCRFPipeline(DiffusionPipeline):  # type: ignore[misc]
    """An unmodified teacher, a CRF, and the schedule that runs them.

    ``from_teacher`` makes one. It is the teacher's own diffusers pipeline with one more component,
    ``crf``, and another ``__call__``: ``to``, ``vae``, offloading, LoRA weights and the rest are as
    in diffusers, and what ``save_pretrained`` writes ``type(pipeline).from_pretrained`` reads.
    ``schedule`` may be set between calls. The teacher's scheduler is read, not run; its safety
    checker and watermark are not run.
    """

    _callback_tensor_inputs = ("latents",)
    # Sequential offloading brings each part's weights for its own call alone; the CRF's similarities are
    # prepared once for all iterations, so it stays where it computes.
    _exclude_from_cpu_offload: ClassVar = ["crf"]
    crf: LatentCRF | None
    of_family: ClassVar[dict[str, type["LatentCRFPipeline"]]] = {}
    """Family -> its pipeline; each registers itself when it is defined."""

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        cls.of_family[family_name(cls)] = cls

    @classmethod
    def from_teacher(
        cls, teacher: str | Path | Any, crf: str | Path | LatentCRF | None = None, schedule: Schedule | None = None
    ) -> "LatentCRFPipeline":
        """A pipeline that shares the teacher's modules.

        ``teacher``: a folder in diffusers format, or a loaded StableDiffusionPipeline,
        StableDiffusionXLPipeline or StableDiffusion3Pipeline. ``crf``: a model, moved to the
        teacher's device and dtype, or its folder. ``schedule``: the paper's with a CRF and all of 50
        steps without, unless given.

        Raises TeacherError for a folder that holds no teacher, and for another pipeline.
        """
        stock = Teacher.load(teacher).pipeline if isinstance(teacher, (str, Path)) else teacher
        model = LatentCRF.from_pretrained(crf) if isinstance(crf, (str, Path)) else crf
        pipeline: LatentCRFPipeline = cls.of_family[family_name(type(stock))](
            **{**stock.components, "crf": model},
            **stock.parameters,
            schedule=str(schedule) if schedule else None,
        )
        return pipeline

    def _add_crf(self, crf: LatentCRF | None, schedule: str | None) -> None:
        """What is left to do once the teacher's own constructor has run."""
        self.register_modules(crf=crf)
        if crf:
            crf.eval().to(self.device)
        # diffusers warns of every change of dtype.
        if crf and crf.dtype != self.teacher.dtype:
            crf.to(self.teacher.dtype)
        self.schedule = Schedule.parse(schedule or (PAPER if crf else "50/50"))

    @property
    def schedule(self) -> Schedule:
        """What runs; saved with the pipeline."""
        return Schedule.parse(self.config.schedule)

    @schedule.setter
    def schedule(self, schedule: Schedule) -> None:
        self.register_to_config(schedule=str(schedule))

    @property
    def teacher(self) -> Teacher:
        """The teacher that this pipeline's components make."""
        return Teacher(self)

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | list[str],
        *,
        negative_prompt: str | list[str] | None = None,
        height: int | None = None,
        width: int | None = None,
        guidance_scale: float = 7.5,
        num_images_per_prompt: int = 1,
        generator: Generators | None = None,
        latents: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callback | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> LatentCRFPipelineOutput | tuple[Any]:
        """Images of ``prompt``, a prompt's images side by side.

        The arguments are diffusers' own. ``height``, ``width``: pixels, the teacher's size unless
        given. ``guidance_scale``: 1 or less spares the evaluation without the caption. ``latents``:
        the starting noise (B, C, H, W), B all images. ``output_type``: "pil", "np", "pt" or "latent".
        ``callback_on_step_end``: called after each of the teacher's evaluations, numbered from 0 over
        the whole schedule; the "latents" it returns are gone on with.

        Raises ValueError where ``latents`` do not fit, as TeacherError where the CRF does not, as
        ScheduleError where the schedule needs a CRF and there is none.
        """
        teacher = self.teacher
        prompts = [prompt] if isinstance(prompt, str) else prompt
        negatives = [negative_prompt] * len(prompts) if isinstance(negative_prompt, str) else negative_prompt
        shape_CHW = teacher.latent_shape(teacher.shape.side(height), teacher.shape.side(width))
        if self.schedule.middle == "crf":
            check_crf(require_crf(self.schedule, self.crf), shape_CHW, teacher.shape.text_width)
        shape_BCHW = (len(prompts) * num_images_per_prompt, *shape_CHW)
        check_noise(shape_BCHW, generator, latents)
        # What diffusers' properties guidance_scale and num_timesteps tell a callback.
        self._guidance_scale, self._num_timesteps = guidance_scale, self.schedule.evaluations

        given = teacher.condition(prompts, guidance_scale, negatives, num_images_per_prompt)
        noise_BCHW = latents
        if noise_BCHW is None:
            noise_BCHW = randn_tensor(shape_BCHW, generator, teacher.device, given.pooled_BD.dtype)
        with self.progress_bar(total=self.schedule.evaluations) as bar:
            on_step = self._on_step(bar, callback_on_step_end, callback_on_step_end_tensor_inputs)
            reached = lead(teacher, self.schedule, noise_BCHW, given, on_step)
            z_BCHW = finish(teacher, self.schedule, reached, given, self.crf, on_step, generator)
        images = z_BCHW
        if output_type != "latent":
            images = self.image_processor.postprocess(teacher.decode(z_BCHW), output_type=output_type)
        self.maybe_free_model_hooks()
        return LatentCRFPipelineOutput(images=images) if return_dict else (images,)

    def _on_step(self, bar: Any, callback: Callback | None, tensor_inputs: Sequence[str]) -> OnStep:
        """Tells the progress bar and the caller's callback of each evaluation."""
        if unknown := set(tensor_inputs) - set(self._callback_tensor_inputs):
            raise ValueError(
                f"expected callback_on_step_end_tensor_inputs among {list(self._callback_tensor_inputs)}, "
                f"found {sorted(unknown)}; the callback can have nothing else"
            )
        numbers = itertools.count()

        def on_step(timestep: float, latents: Tensor) -> Tensor:
            number = next(numbers)
            if callback:
                changed = callback(self, number, timestep, dict.fromkeys(tensor_inputs, latents))
                latents = changed.get("latents", latents)
            bar.update()
            return latents

        return on_step


def check_crf(crf: LatentCRF, shape_CHW: tuple[int, int, int], text_width: int) -> None:
    """Raises TeacherError where a CRF was made for other latents or another text encoder."""
    made_for = (crf.config.channels, crf.config.height, crf.config.width), crf.config.text_width
    if made_for != (shape_CHW, text_width):
        raise TeacherError(
            f"expected latents {made_for[0]} (C, H, W) and text of width {made_for[1]}, which this CRF was made for, "
            f"found {shape_CHW} and {text_width}; ask for its height and width, or take a CRF of this teacher"
        )


def check_noise(shape_BCHW: tuple[int, ...], generator: Generators | None, latents: Tensor | None) -> None:
    """Raises ValueError where the caller's noise, or list of generators, is not for this batch."""
    if latents is not None and latents.shape != shape_BCHW:
        raise ValueError(
            f"expected latents of shape {shape_BCHW} for these prompts and this size, found {tuple(latents.shape)}; "
            "change latents, or height and width"
        )
    if isinstance(generator, list) and len(generator) != shape_BCHW[0]:
        raise ValueError(
            f"expected a generator for each of the {shape_BCHW[0]} images, found {len(generator)}; give as many, or one"
        )
