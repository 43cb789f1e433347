"""The optimizer steps of both training stages, and all the state needed to resume them exactly."""

import math
from collections import defaultdict
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from crf.model.latent_crf import LatentCRF
from crf.training.discriminator import Discriminator, compute_discriminator_loss, compute_generator_loss
from crf.training.pairs import Pairs
from crf.training.workers import average_over_workers, distribute, gather_rows


class DivergedError(RuntimeError):
    """The loss or its gradient is no longer finite."""


@dataclass(frozen=True)
class TrainerConfig:
    """The options of a training: AdamW with linear warm-up and cosine decay (section 4).

    Args:
        steps: Number of optimizer steps, at whose end the learning rate reaches 0.
        learning_rate: The highest learning rate.
        lr_warmup_steps: Steps over which the learning rate rises to ``learning_rate``.
        adversarial_weight: Weight of the adversarial loss (lambda in eq. 13). Default 0: no adversary.
        ema_decay: Decay of the moving average of the weights, which is the result. Default 0.999.
        max_grad_norm: Norm to clip gradients to. Default 1.
        gradient_accumulation_steps: Number of equal parts that a worker's batch is computed in. Default 1.
        mixed_precision: "bf16" for forward passes in bfloat16 (autocast), with float32 weights. Default "no".
        compile: Whether to apply ``torch.compile`` to the CRF. Default False.
        frozen_statistics: Whether batch-norm keeps the statistics that the CRF comes with, as inference does, so that
            a CRF may run several times per sample. Default False.
    """

    steps: int
    learning_rate: float
    lr_warmup_steps: int
    adversarial_weight: float = 0.0
    ema_decay: float = 0.999
    max_grad_norm: float = 1.0
    gradient_accumulation_steps: int = 1
    mixed_precision: Literal["no", "bf16"] = "no"
    compile: bool = False
    frozen_statistics: bool = False

    def fraction_at(self, step: int) -> float:
        """Compute the fraction of ``learning_rate`` that applies at ``step``, counted from 0."""
        if step < self.lr_warmup_steps:
            return (step + 1) / self.lr_warmup_steps
        done = (step - self.lr_warmup_steps) / max(1, self.steps - self.lr_warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * done))

    def average(self, averaged: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
        """Update the moving average. Its decay starts low and grows, so that a short run forgets its first weights."""
        decay = min(self.ema_decay, (1 + int(updates)) / (10 + int(updates)))
        return averaged.lerp(current, 1 - decay) if current.is_floating_point() else current


class OptimizedModule:
    """A module with its optimizer and learning-rate schedule. Run backward passes, then ``step``."""

    def __init__(self, module: nn.Module, optimization: TrainerConfig) -> None:
        self._optimization = optimization
        self.module = module
        self.forward: nn.Module = distribute(module)
        self.optimizer = AdamW(module.parameters(), lr=optimization.learning_rate)
        self.schedule = LambdaLR(self.optimizer, optimization.fraction_at)

    def step(self) -> Tensor:
        """Clip the gradients, take an optimizer step, and return the norm before clipping.

        If the norm is not finite, no step is taken.
        """
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), self._optimization.max_grad_norm)
        if torch.isfinite(norm):
            self.optimizer.step()
            self.schedule.step()
        self.optimizer.zero_grad()
        return norm

    def defer_exchange(self, last: bool) -> AbstractContextManager[None]:
        """Make the context of a backward pass: workers exchange gradients only in the last one of a step."""
        if last or not isinstance(self.forward, DistributedDataParallel):
            return nullcontext()
        deferred: AbstractContextManager[None] = self.forward.no_sync()
        return deferred

    def state_dict(self) -> dict[str, Any]:
        """Return the state of module, optimizer and learning-rate schedule."""
        return {name: getattr(self, name).state_dict() for name in ("module", "optimizer", "schedule")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        for name, part in state.items():
            getattr(self, name).load_state_dict(part)


class Trainer:
    """Trains a CRF, with an adversary if the config asks for one. The result is the moving average of its weights.

    In a ``torch.distributed`` process group, each worker passes its own part of the batch to ``step``. Each batch-norm
    sees its own worker's part, and the running statistics are those of rank 0: training never reads them, so workers
    do not exchange them.

    Args:
        crf: The CRF to train, on the device to train on. It is modified in place.
        optimization: The options of the training.
    """

    def __init__(self, crf: LatentCRF, optimization: TrainerConfig) -> None:
        self.optimization = optimization
        self.steps_done = 0
        # use_buffers: batch-norm's running statistics are averaged like the weights.
        self.ema = AveragedModel(crf, avg_fn=optimization.average, use_buffers=True).eval()
        self.history: dict[str, list[float]] = defaultdict(list)
        if optimization.compile:
            crf.compile()
        self.crf = OptimizedModule(crf.train(not optimization.frozen_statistics), optimization)
        self.adversary: OptimizedModule | None = None
        if optimization.adversarial_weight:
            self.adversary = OptimizedModule(Discriminator(crf.settings.channels).to(crf.device), optimization)

    @property
    def device(self) -> torch.device:
        """The device that the CRF trains on."""
        return next(self.ema.parameters()).device

    @property
    def result(self) -> LatentCRF:
        """The averaged CRF, in evaluation mode."""
        return self.ema.module  # type: ignore[return-value]

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(self.crf.schedule.get_last_lr()[0])

    def step(self, pairs: Pairs) -> dict[str, float]:
        """Take one optimizer step.

        Args:
            pairs: This worker's part of the batch, on any device.

        Returns:
            "mse", "gradient_norm" and, with an adversary, "adversarial" and "discriminator": the losses and the norm
            of the CRF's gradient before clipping, averaged over workers.

        Raises:
            DivergedError: A gradient is not finite. Raised on every worker; names the step and the batch's rows.
        """
        parts = pairs.to(self.device).split(self.optimization.gradient_accumulation_steps)
        outputs, losses = self._infer(parts)
        norms = [self.crf.step()]
        if self.adversary:
            losses["discriminator"] = self._discriminate(self.adversary, parts, outputs)
            norms.append(self.adversary.step())
        figures = average_over_workers({**losses, "gradient_norm": norms[0]})
        if not all(math.isfinite(norm) for norm in norms):
            raise DivergedError(self._diagnose(pairs, figures))
        self.ema.update_parameters(self.crf.module)
        self.steps_done += 1
        for name, value in figures.items():
            self.history[name].append(value)
        return figures

    @torch.no_grad()
    def infer(self, pairs: Pairs) -> Tensor:
        """Infer clean latents (B, C, H, W) by the averaged CRF. Does not change the training's state."""
        on_device = pairs.to(self.device)
        return on_device.infer(self.result)

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state as tensors, numbers and containers of them, loadable with ``weights_only=True``."""
        return {
            "steps_done": self.steps_done,
            "crf": self.crf.state_dict(),
            "ema": self.ema.state_dict(),
            "adversary": self.adversary.state_dict() if self.adversary else None,
            "history": {name: torch.tensor(values, dtype=torch.float64) for name, values in self.history.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned. Further steps are then identical to those of an uninterrupted run."""
        self.steps_done = state["steps_done"]
        self.crf.load_state_dict(state["crf"])
        self.ema.load_state_dict(state["ema"])
        if self.adversary:
            self.adversary.load_state_dict(state["adversary"])
        self.history = defaultdict(list, {name: values.tolist() for name, values in state["history"].items()})

    def _infer(self, parts: list[Pairs]) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Compute the CRF's gradients (eq. 13). Returns its outputs and the mean losses."""
        outputs, losses = [], defaultdict(list)
        for part in parts:
            with self.crf.defer_exchange(last=part is parts[-1]):
                with self._autocast(part.z_BCHW.device):
                    output_BCHW = part.infer(self.crf.forward)
                    total = part.compute_loss(output_BCHW)
                    losses["mse"].append(total.detach())
                    if self.adversary:
                        against = compute_generator_loss(self.adversary.module.requires_grad_(False)(output_BCHW))
                        losses["adversarial"].append(against.detach())
                        total = total + self.optimization.adversarial_weight * against
                (total / len(parts)).backward()  # type: ignore[no-untyped-call]
            outputs.append(output_BCHW.detach())
        return outputs, {name: torch.stack(values).mean() for name, values in losses.items()}

    def _discriminate(self, adversary: OptimizedModule, parts: list[Pairs], outputs: list[Tensor]) -> Tensor:
        """Compute the discriminator's gradients (eq. 14). Returns its mean loss."""
        adversary.module.requires_grad_(True)
        losses = []
        for part, output_BCHW in zip(parts, outputs, strict=True):
            with adversary.defer_exchange(last=part is parts[-1]):
                with self._autocast(output_BCHW.device):
                    real, fake = adversary.forward(part.target_BCHW), adversary.forward(output_BCHW)
                    loss = compute_discriminator_loss(real, fake)
                (loss / len(parts)).backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        return torch.stack(losses).mean()

    def _autocast(self, device: torch.device) -> torch.autocast:
        return torch.autocast(device.type, torch.bfloat16, enabled=self.optimization.mixed_precision == "bf16")

    def _diagnose(self, pairs: Pairs, figures: dict[str, float]) -> str:
        given = [pairs.z_BCHW, pairs.target_BCHW, pairs.text_BD, *([] if pairs.x0_BCHW is None else [pairs.x0_BCHW])]
        sound_B = torch.stack([torch.isfinite(part).flatten(1).all(1) for part in given]).all(0)
        rows = gather_rows(pairs.rows_B.tolist())
        unsound = gather_rows(pairs.rows_B[~sound_B].tolist())
        found = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
        cause, remedy = "the inputs are sound", f"lower the learning rate, {self.learning_rate:.2g} now"
        if unsound:
            cause, remedy = f"rows {unsound} hold values that are not finite", "verify the store"
        return (
            f"step {self.steps_done}: expected finite losses and gradients, "
            f"found {found} on rows {rows} of the store, and {cause}; {remedy}"
        )
