"""Distill a CRF for your own teacher in one process, on a GPU or on the CPU: no server, no store.

    python examples/own_teacher.py TEACHER CAPTIONS.txt CRF --steps 1000

TEACHER is a folder in diffusers format. All captions are one batch; `latentcrf run` has no such limit, and resumes.
"""

from pathlib import Path

import cyclopts
import torch

from crf import LatentCRF, LatentCRFConfig, LatentCRFPipeline, Schedule
from crf.device import choose_device
from crf.training.pairs import Pairs
from crf.training.trainer import Trainer, TrainerConfig

Tensors = dict[str, torch.Tensor]


def main(teacher: str, captions: str, crf: str, *, steps: int = 1000, lead: str = "31@981..201", seed: int = 0) -> None:
    prompts = Path(captions).read_text().splitlines()
    pipeline = LatentCRFPipeline.from_teacher(teacher).to(choose_device())
    shape = pipeline.teacher.latent_shape(pipeline.teacher.default_size)
    torch.manual_seed(seed)  # the noise, and the CRF's first weights
    noise_BCHW = torch.randn((len(prompts), *shape))
    states = []  # after each evaluation; the last one is what the CRF observes

    def keep_state(_pipeline: object, _number: int, _timestep: float, tensors: Tensors) -> Tensors:
        states.append(tensors["latents"])
        return {}

    pipeline.schedule = Schedule.parse(f"{lead} + x0")
    x0_BCHW = pipeline(prompts, latents=noise_BCHW, output_type="latent", callback_on_step_end=keep_state).images
    pipeline.schedule = Schedule.parse("50/50")
    target_BCHW = pipeline(prompts, latents=noise_BCHW, output_type="latent").images
    text_BD = pipeline.teacher.pooled_text(prompts)

    sizes = dict(zip(("channels", "height", "width"), shape, strict=True), text_width=text_BD.shape[1])
    config = LatentCRFConfig(**sizes, lead=lead, crf_input="x0+state", potentials="observed", with_pairwise=False)
    optimization = TrainerConfig(steps=steps, learning_rate=3e-3, lr_warmup_steps=steps // 20)
    trainer = Trainer(LatentCRF(config).to(pipeline.device), optimization)
    for _ in range(steps):
        losses = trainer.step(Pairs(states[-1], target_BCHW, text_BD, x0_BCHW, torch.arange(len(prompts))))
    trainer.result.save_pretrained(crf)
    print(f"{crf}: {len(prompts)} pairs, MSE {losses['mse']:.4f}")


if __name__ == "__main__":
    cyclopts.run(main)
