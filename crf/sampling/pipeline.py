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

from crf.errors import InputError, TeacherError
from crf.model.latent_crf import LatentCRF
from crf.sampling.sampler import Generators, OnStep, require_crf, run_lead, run_tail
from crf.schedule import Schedule, default_schedule
from crf.teacher.families import find_family
from crf.teacher.teacher import Teacher

# (pipeline, number of the evaluation, its timestep, {"latents": ...}) -> a dict that may replace "latents"
Callback = Callable[[Any, int, float, dict[str, Tensor]], dict[str, Tensor]]


@dataclass
class LatentCRFPipelineOutput(BaseOutput):  # type: ignore[misc]
    """``images``: PIL images, an array (B, H, W, 3) or a tensor (B, 3, H, W) in [0, 1], or latents (B, C, H, W)."""

    images: Any


class LatentCRFPipeline(DiffusionPipeline):  # type: ignore[misc]
    """An unmodified teacher, a CRF, and the schedule that runs them, as a diffusers pipeline.

    ``from_teacher`` makes one. It is the teacher's own diffusers pipeline with one more component, ``crf``, and
    another ``__call__``: ``to``, ``vae``, offloading, LoRA weights and the rest work as in diffusers, and
    ``type(pipeline).from_pretrained`` reads what ``save_pretrained`` writes. ``schedule`` may be set between
    calls. The teacher's scheduler is read, not run; its safety checker and watermark do not run.

    Example:
        >>> pipeline = LatentCRFPipeline.from_teacher("path/to/teacher", "path/to/crf").to("cuda")
        >>> image = pipeline("a red apple").images[0]
    """

    _callback_tensor_inputs = ("latents",)
    # Sequential offloading loads weights call by call; the CRF prepares its similarities once for all
    # iterations, so it stays on the device.
    _exclude_from_cpu_offload: ClassVar = ["crf"]
    crf: LatentCRF | None
    of_family: ClassVar[dict[str, type["LatentCRFPipeline"]]] = {}
    """The pipeline class of each family; each registers itself when it is defined."""

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        cls.of_family[find_family(cls)] = cls

    @classmethod
    def from_teacher(
        cls, teacher: str | Path | Any, crf: str | Path | LatentCRF | None = None, schedule: Schedule | None = None
    ) -> "LatentCRFPipeline":
        """Make a pipeline that shares the teacher's modules.

        Args:
            teacher: A folder in diffusers format, or a loaded StableDiffusionPipeline,
                StableDiffusionXLPipeline or StableDiffusion3Pipeline.
            crf: A CRF, which moves to the teacher's device and dtype, or the folder of one; None (default) to
                run the teacher alone.
            schedule: What runs. By default that which the CRF was distilled for ("31/40 + crf + 2/50" if its
                config does not say), or all of 50 steps without a CRF.

        Returns:
            The pipeline of the teacher's family.

        Raises:
            TeacherError: The folder holds no teacher, or the pipeline is of another kind.
        """
        stock = Teacher.load(teacher).pipeline if isinstance(teacher, (str, Path)) else teacher
        model = LatentCRF.from_pretrained(crf) if isinstance(crf, (str, Path)) else crf
        pipeline: LatentCRFPipeline = cls.of_family[find_family(type(stock))](
            **{**stock.components, "crf": model},
            **stock.parameters,
            schedule=str(schedule) if schedule else None,
        )
        return pipeline

    def _add_crf(self, crf: LatentCRF | None, schedule: str | None) -> None:
        """Finish the construction that the teacher's own constructor began."""
        self.register_modules(crf=crf)
        if crf:
            crf.eval().to(self.device)
        # diffusers warns about every change of dtype.
        if crf and crf.dtype != self.teacher.dtype:
            crf.to(self.teacher.dtype)
        default = default_schedule(crf.settings.lead, crf.settings.tail) if crf else Schedule.parse("50/50")
        self.schedule = Schedule.parse(schedule) if schedule else default

    @property
    def schedule(self) -> Schedule:
        """What runs; it is saved with the pipeline."""
        return Schedule.parse(self.config.schedule)

    @schedule.setter
    def schedule(self, schedule: Schedule) -> None:
        self.register_to_config(schedule=str(schedule))

    @property
    def teacher(self) -> Teacher:
        """The teacher that this pipeline's components form."""
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
        """Generate images. The arguments are those of diffusers' pipelines.

        Args:
            prompt: One prompt or several.
            negative_prompt: What to steer away from: one for all prompts, or one per prompt.
            height: Pixels; the teacher's own size by default.
            width: Pixels; the teacher's own size by default.
            guidance_scale: Classifier-free guidance, 7.5 by default; 1 or less skips the evaluation without
                the prompt.
            num_images_per_prompt: Images per prompt, 1 by default; they are adjacent in the output.
            generator: Source of the noise: one, or one per image.
            latents: Noise to start from, (B, C, H, W), with B the number of all images; drawn by default.
            output_type: "pil" (default), "np", "pt" or "latent".
            return_dict: Return an output object (default) instead of a tuple.
            callback_on_step_end: Called after each of the teacher's evaluations, numbered from 0 over the whole
                schedule; sampling continues with the "latents" in the dict it returns.
            callback_on_step_end_tensor_inputs: What the callback receives; only "latents" is available.

        Returns:
            An output with ``images``: PIL images, an array (B, H, W, 3) or a tensor (B, 3, H, W) in [0, 1],
            or latents (B, C, H, W); or a tuple of just these.

        Raises:
            InputError: ``latents``, ``generator`` or the callback's inputs do not fit.
            TeacherError: The CRF was made for another teacher or size.
            ScheduleError: The schedule needs a CRF and there is none.
        """
        teacher = self.teacher
        prompts = [prompt] if isinstance(prompt, str) else prompt
        negatives = [negative_prompt] * len(prompts) if isinstance(negative_prompt, str) else negative_prompt
        shape_CHW = teacher.latent_shape(teacher.shape.side(height), teacher.shape.side(width))
        if self.schedule.middle == "crf":
            check_crf(require_crf(self.schedule, self.crf), shape_CHW, teacher.shape.text_width)
        shape_BCHW = (len(prompts) * num_images_per_prompt, *shape_CHW)
        check_noise(shape_BCHW, generator, latents)
        # Callbacks read these through diffusers' properties guidance_scale and num_timesteps.
        self._guidance_scale, self._num_timesteps = guidance_scale, self.schedule.evaluations

        given = teacher.condition(prompts, guidance_scale, negatives, num_images_per_prompt)
        noise_BCHW = latents
        if noise_BCHW is None:
            noise_BCHW = randn_tensor(shape_BCHW, generator, teacher.device, given.pooled_BD.dtype)
        with self.progress_bar(total=self.schedule.evaluations) as bar:
            on_step = self._on_step(bar, callback_on_step_end, callback_on_step_end_tensor_inputs)
            reached = run_lead(teacher, self.schedule, noise_BCHW, given, on_step)
            z_BCHW = run_tail(teacher, self.schedule, reached, given, self.crf, on_step, generator)
        images = z_BCHW
        if output_type != "latent":
            images = self.image_processor.postprocess(teacher.decode(z_BCHW), output_type=output_type)
        self.maybe_free_model_hooks()
        return LatentCRFPipelineOutput(images=images) if return_dict else (images,)

    def _on_step(self, bar: Any, callback: Callback | None, tensor_inputs: Sequence[str]) -> OnStep:
        """A function that reports each evaluation to the progress bar and the caller's callback."""
        if unknown := set(tensor_inputs) - set(self._callback_tensor_inputs):
            raise InputError(
                f"callback_on_step_end_tensor_inputs among {list(self._callback_tensor_inputs)}",
                f"{sorted(unknown)}",
                "leave out the others",
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
    """Raise TeacherError if the CRF was made for other latents or another text encoder."""
    made_for = (crf.config.channels, crf.config.height, crf.config.width), crf.config.text_width
    if made_for != (shape_CHW, text_width):
        raise TeacherError(
            f"latents {made_for[0]} (C, H, W) and text of width {made_for[1]}, which this CRF was made for",
            f"{shape_CHW} and {text_width}",
            "ask for its height and width, or use a CRF of this teacher",
        )


def check_noise(shape_BCHW: tuple[int, ...], generator: Generators | None, latents: Tensor | None) -> None:
    """Raise InputError if the caller's noise or list of generators does not fit this batch."""
    if latents is not None and latents.shape != shape_BCHW:
        raise InputError(
            f"latents of shape {shape_BCHW} for these prompts and this size",
            f"{tuple(latents.shape)}",
            "change latents, or height and width",
        )
    if isinstance(generator, list) and len(generator) != shape_BCHW[0]:
        raise InputError(
            f"a generator for each of the {shape_BCHW[0]} images", f"{len(generator)}", "give as many, or one"
        )
