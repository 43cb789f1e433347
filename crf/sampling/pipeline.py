"""The diffusers pipeline that generates images with a teacher and a CRF."""

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
from crf.front import Front
from crf.model.latent_crf import LatentCRF
from crf.sampling.sampler import Generators, require_crf, run_lead, run_tail
from crf.sampling.trajectory import OnStep
from crf.schedule import Schedule, make_default_schedule
from crf.teacher.families import find_family
from crf.teacher.teacher import Teacher

# (pipeline, number of the evaluation, its timestep, {"latents": ...}) -> dict whose "latents", if any, replace these
Callback = Callable[[Any, int, float, dict[str, Tensor]], dict[str, Tensor]]


@dataclass
class LatentCRFPipelineOutput(BaseOutput):  # type: ignore[misc]
    """The output of ``LatentCRFPipeline``.

    ``images``: a list of PIL images, an array (B, H, W, 3) or a tensor (B, 3, H, W) in [0, 1], or latents
    (B, C, H, W), as ``output_type`` says.
    """

    images: Any


class LatentCRFPipeline(DiffusionPipeline):  # type: ignore[misc]
    """A diffusers pipeline that generates images with an unmodified teacher and a CRF, on a schedule.

    Create one with ``from_teacher``. It extends the teacher's own pipeline class with the component ``crf`` and
    replaces ``__call__``, so ``to``, offloading, LoRA weights and the rest work as in diffusers. Load a saved
    pipeline with ``type(pipeline).from_pretrained``. Set ``schedule`` to change it between calls.

    The schedule replaces the sampler: the teacher's scheduler supplies only its config. The teacher's safety checker
    and watermark do not run.

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
    """Family -> its pipeline class. Each class registers itself when it is defined."""

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        cls.of_family[find_family(cls)] = cls

    @classmethod
    def from_teacher(
        cls,
        teacher: str | Path | Any,
        crf: str | Path | LatentCRF | None = None,
        schedule: Schedule | Front | None = None,
    ) -> "LatentCRFPipeline":
        """Create a pipeline from a teacher and a CRF. It shares their modules; nothing is copied.

        Args:
            teacher: A folder in diffusers format, or a loaded StableDiffusionPipeline, StableDiffusionXLPipeline or
                StableDiffusion3Pipeline.
            crf: A CRF or the folder of one. It is moved to the teacher's device and dtype. None (default) runs the
                teacher alone.
            schedule: The schedule to run, or the front of a search, of which the recommended schedule runs unless
                ``num_inference_steps`` asks for another. Default: the schedule that the CRF was distilled for
                ("31/40 + crf + 2/50" if its config records none); without a CRF, "50/50".

        Returns:
            A pipeline of the teacher's family.

        Raises:
            TeacherError: The folder holds no teacher, or the teacher is of an unsupported kind.
        """
        stock = Teacher.load(teacher).pipeline if isinstance(teacher, (str, Path)) else teacher
        model = LatentCRF.from_pretrained(crf) if isinstance(crf, (str, Path)) else crf
        front = schedule if isinstance(schedule, Front) else None
        chosen = front.choose() if front else schedule
        pipeline: LatentCRFPipeline = cls.of_family[find_family(type(stock))](
            **{**stock.components, "crf": model},
            **stock.parameters,
            schedule=str(chosen) if chosen else None,
            front=front.format() if front else None,
        )
        return pipeline

    def _add_crf(self, crf: LatentCRF | None, schedule: str | None, front: str | None) -> None:
        """Add the CRF, the schedule and the front, after the teacher's own constructor has run."""
        self.register_modules(crf=crf)
        self.register_to_config(front=front)
        if crf:
            crf.eval().to(self.device)
        # Only if it changes: diffusers warns about every conversion.
        if crf and crf.dtype != self.teacher.dtype:
            crf.to(self.teacher.dtype)
        place = (crf.settings.lead, crf.settings.tail, crf.settings.schedule) if crf else (None, None, "50/50")
        self.schedule = Schedule.parse(schedule) if schedule else make_default_schedule(*place)

    @property
    def schedule(self) -> Schedule:
        """The schedule that a call runs. It can be set, and is saved with the pipeline."""
        return Schedule.parse(self.config.schedule)

    @schedule.setter
    def schedule(self, schedule: Schedule) -> None:
        self.register_to_config(schedule=str(schedule))

    def _choose_schedule(self, num_inference_steps: int | None) -> Schedule:
        """Return the schedule of a call: the pipeline's own, or the one of so many evaluations."""
        if num_inference_steps is None:
            return self.schedule
        if self.config.front:
            return Front.parse(self.config.front).choose(num_inference_steps)
        return Schedule(num_inference_steps, num_inference_steps)

    @property
    def teacher(self) -> Teacher:
        """The teacher made of this pipeline's components."""
        return Teacher(self)

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | list[str],
        *,
        negative_prompt: str | list[str] | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float = 7.5,
        num_images_per_prompt: int = 1,
        generator: Generators | None = None,
        latents: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callback | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> LatentCRFPipelineOutput | tuple[Any]:
        """Generate images. The arguments have the same meaning as in diffusers' pipelines.

        Args:
            prompt: One prompt, or a list of prompts.
            negative_prompt: What to steer away from: one text for all prompts, or one per prompt. Default: none.
            height: Height of the images in pixels. Default: the teacher's own size.
            width: Width of the images in pixels. Default: the teacher's own size.
            num_inference_steps: Run the front's schedule of so many evaluations or, without a front, so many of the
                teacher's own steps, without the CRF. Default: ``schedule`` runs.
            guidance_scale: Scale of classifier-free guidance. Default 7.5; 1 or less disables guidance.
            num_images_per_prompt: Images per prompt, adjacent in the output. Default 1.
            generator: Generator of the noise, or a list of one per image. Default: PyTorch's global generator.
            latents: Initial noise, (B, C, H, W), where B counts all images. Default: drawn from ``generator``.
            output_type: "pil" (default), "np", "pt" or "latent".
            return_dict: Whether to return an output object (default) or a tuple.
            callback_on_step_end: Called after each of the teacher's evaluations as (pipeline, number from 0,
                timestep, inputs). Sampling continues with "latents" of the dict that it returns, if given.
            callback_on_step_end_tensor_inputs: Names of the callback's inputs; only "latents" is available.

        Returns:
            An output whose ``images`` are PIL images, a float array (B, H, W, 3) or tensor (B, 3, H, W) in [0, 1],
            or latents (B, C, H, W); or a tuple of one element, the images.

        Raises:
            InputError: ``latents`` has the wrong shape, ``generator`` has the wrong length, the callback asks for
                unavailable inputs, or the front has no schedule of ``num_inference_steps``.
            TeacherError: The CRF was made for another teacher or image size, or the VAE cannot make this size.
            ScheduleError: The schedule needs a CRF, and the pipeline has none.
        """
        teacher, schedule = self.teacher, self._choose_schedule(num_inference_steps)
        prompts = [prompt] if isinstance(prompt, str) else prompt
        negatives = [negative_prompt] * len(prompts) if isinstance(negative_prompt, str) else negative_prompt
        shape_CHW = teacher.latent_shape(teacher.shape.side(height), teacher.shape.side(width))
        if schedule.crfs:
            check_crf(require_crf(schedule, self.crf), shape_CHW, teacher.shape.text_width)
        shape_BCHW = (len(prompts) * num_images_per_prompt, *shape_CHW)
        check_noise(shape_BCHW, generator, latents)
        # Callbacks read these through diffusers' properties guidance_scale and num_timesteps.
        self._guidance_scale, self._num_timesteps = guidance_scale, schedule.evaluations

        given = teacher.condition(prompts, guidance_scale, negatives, num_images_per_prompt)
        if latents is None:
            latents = randn_tensor(shape_BCHW, generator, teacher.device, given.pooled_BD.dtype)
        with self.progress_bar(total=schedule.evaluations) as bar:
            on_step = self._on_step(bar, callback_on_step_end, callback_on_step_end_tensor_inputs)
            reached = run_lead(teacher, schedule, latents.to(teacher.dtype), given, on_step, self.crf)
            z_BCHW = run_tail(teacher, schedule, reached, given, self.crf, on_step, generator)
        images = z_BCHW
        if output_type != "latent":
            images = self.image_processor.postprocess(teacher.decode(z_BCHW), output_type=output_type)
        self.maybe_free_model_hooks()
        return LatentCRFPipelineOutput(images=images) if return_dict else (images,)

    def _on_step(self, bar: Any, callback: Callback | None, tensor_inputs: Sequence[str]) -> OnStep:
        """Make the function that reports each evaluation to the progress bar and the caller's callback."""
        if unknown := set(tensor_inputs) - set(self._callback_tensor_inputs):
            raise InputError(
                f"callback_on_step_end_tensor_inputs among {list(self._callback_tensor_inputs)}",
                f"{sorted(unknown)}",
                "leave these out",
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
    """Raise TeacherError if the CRF was made for another shape of latents or another width of text."""
    made_for = (crf.config.channels, crf.config.height, crf.config.width), crf.config.text_width
    if made_for != (shape_CHW, text_width):
        raise TeacherError(
            f"latents {made_for[0]} (C, H, W) and text of width {made_for[1]}, as this CRF was made for",
            f"{shape_CHW} and {text_width}",
            "generate at its height and width, or use a CRF of this teacher",
        )


def check_noise(shape_BCHW: tuple[int, ...], generator: Generators | None, latents: Tensor | None) -> None:
    """Raise InputError if the shape of ``latents`` or the number of generators does not match the batch."""
    if latents is not None and latents.shape != shape_BCHW:
        raise InputError(
            f"latents of shape {shape_BCHW} for these prompts and this image size",
            f"{tuple(latents.shape)}",
            "change latents, or height and width",
        )
    if isinstance(generator, list) and len(generator) != shape_BCHW[0]:
        raise InputError(
            f"{shape_BCHW[0]} generators, one per image", f"{len(generator)}", "pass as many, or a single generator"
        )
