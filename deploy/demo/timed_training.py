"""Train a model for a given number of minutes on a CPU's cores, with the arithmetic in bfloat16.

One process a core, one thread each: they share the weights and step without locks, each with its
own batches and AdamW moments (Hogwild, Niu et al. 2011).

The weights that the optimizer sees stay float32; forward and backward run in a bfloat16,
channels-last copy, which is refreshed after each step. On CPUs with bfloat16 instructions that
doubles the speed. (``torch.compile`` is not used: with torch 2.13 on the CPU the compiled
bfloat16 GroupNorm returned zero gradients.)
"""

import copy
import math
import os
import random
import time
from collections.abc import Callable

import torch
import torch.multiprocessing as mp
from torch import Tensor, nn

WARM_UP_STEPS, REPORT_EVERY = 200, 100


class ContiguousGroupNorm(nn.GroupNorm):
    """The same function; its backward is four times faster on channels-first bfloat16 on a CPU."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.contiguous()).contiguous(memory_format=torch.channels_last)


def bfloat16_copy(model: nn.Module) -> nn.Module:
    fast = copy.deepcopy(model).bfloat16().to(memory_format=torch.channels_last)
    for module in fast.modules():
        if type(module) is nn.GroupNorm:
            module.__class__ = ContiguousGroupNorm
    return fast


def train_for(
    minutes: float,
    model: nn.Module,
    loss_on: Callable[[nn.Module], Callable[[float], Tensor]],
    *,
    peak_lr: float,
    ema_decay: float,
    save: Callable[[nn.Module], None],
    save_every_minutes: float,
) -> None:
    """AdamW with warm-up and a cosine over wall time.

    ``loss_on(fast_copy)`` gives a function from progress in [0, 1] to the loss of a fresh batch.
    ``save(average)`` is called every ``save_every_minutes`` and at the end, with the exponential
    moving average of the weights.
    """
    torch.set_num_threads(1)
    average = copy.deepcopy(model).requires_grad_(False)
    model.share_memory()
    end = time.monotonic() + 60 * minutes
    others = [
        mp.get_context("fork").Process(target=_steps, args=(rank, minutes, end, model, loss_on, peak_lr), daemon=True)
        for rank in range(1, len(os.sched_getaffinity(0)))
    ]
    for other in others:
        other.start()
    last_save = time.monotonic()

    def after_step(step: int) -> None:
        nonlocal last_save
        decay = min(ema_decay, step / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
        if time.monotonic() - last_save > 60 * save_every_minutes:
            save(average)
            last_save = time.monotonic()

    _steps(0, minutes, end, model, loss_on, peak_lr, after_step)
    save(average)


def _steps(
    rank: int,
    minutes: float,
    end: float,
    model: nn.Module,
    loss_on: Callable[[nn.Module], Callable[[float], Tensor]],
    peak_lr: float,
    after_step: Callable[[int], None] = lambda step: None,
) -> None:
    """One process's steps on the shared weights of ``model``, until ``end``."""
    torch.manual_seed(rank)
    random.seed(rank)
    fast = bfloat16_copy(model)
    slow_parameters, fast_parameters = list(model.parameters()), list(fast.parameters())
    optimizer = torch.optim.AdamW(slow_parameters, lr=peak_lr, betas=(0.9, 0.95), weight_decay=1e-2)
    batch_loss = loss_on(fast)
    step, smoothed = 0, math.nan
    while (progress := 1 - (end - time.monotonic()) / (60 * minutes)) < 1:
        loss = batch_loss(progress)
        loss.backward()
        for slow, quick in zip(slow_parameters, fast_parameters, strict=True):
            slow.grad, quick.grad = None if quick.grad is None else quick.grad.float(), None
        torch.nn.utils.clip_grad_norm_(slow_parameters, 1.0)
        warm_up = min(1.0, (step + 1) / WARM_UP_STEPS)
        optimizer.param_groups[0]["lr"] = peak_lr * warm_up * 0.5 * (1 + math.cos(math.pi * progress))
        optimizer.step()
        step += 1
        with torch.no_grad():
            torch._foreach_copy_(fast_parameters, slow_parameters)
        after_step(step)
        smoothed = loss.item() if math.isnan(smoothed) else 0.98 * smoothed + 0.02 * loss.item()
        if rank == 0 and step % REPORT_EVERY == 0:
            print(f"{progress:6.1%}  step {step}  loss {smoothed:.4f}", flush=True)
