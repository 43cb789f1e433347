"""DeepCache (Ma et al. 2023, arXiv 2312.00858): deep features change slowly, so most steps reuse them.

It is a control that needs no training, for teachers with a U-Net.
"""

import copy
from typing import Any

from torch import Tensor

from crf.teacher.teacher import Teacher


def cache_features(teacher: Teacher, interval: int) -> Teacher:
    """Copy a teacher so that the copy evaluates the whole U-Net on every ``interval``-th step only; shares weights."""
    cached, family = copy.copy(teacher), copy.copy(teacher.family)
    family.network = CachedUNet(family.network, interval)
    cached.family = family
    return cached


class CachedUNet:
    """A U-Net that runs its outermost blocks at every step, and all other blocks once per ``interval`` steps.

    Call it like ``UNet2DConditionModel`` with ``return_dict=False``. Timesteps descend along a trajectory, so a
    timestep that does not descend starts a new trajectory, with a whole evaluation.
    """

    def __init__(self, unet: Any, interval: int) -> None:
        self.unet, self.interval = unet, interval
        self.dtype = unet.dtype
        self.steps = 0
        self.last_timestep = 0.0
        self.deep: Tensor | None = None

    def __call__(self, z_BCHW: Tensor, timestep: float, encoder_hidden_states: Tensor, **more: Any) -> tuple[Tensor]:
        self.steps = self.steps + 1 if timestep < self.last_timestep else 0
        self.last_timestep = timestep
        if self.steps % self.interval == 0:
            return self._whole(z_BCHW, timestep, encoder_hidden_states, **more)
        return (self._shallow(z_BCHW, timestep, encoder_hidden_states, more.get("added_cond_kwargs")),)

    def _whole(self, *args: Any, **more: Any) -> tuple[Tensor]:
        def keep(block: Any, positional: Any, named: dict[str, Any]) -> None:
            self.deep = named["hidden_states"]

        handle = self.unet.up_blocks[-1].register_forward_pre_hook(keep, with_kwargs=True)
        try:
            output: tuple[Tensor] = self.unet(*args, **more)
        finally:
            handle.remove()
        return output

    def _shallow(self, z_BCHW: Tensor, timestep: float, text_BLD: Tensor, added: Any) -> Tensor:
        """Repeat the U-Net's own ``forward``, but take the features between its outermost blocks from the cache."""
        unet = self.unet
        first, last = unet.down_blocks[0], unet.up_blocks[-1]
        time_BD = unet.time_embedding(unet.get_time_embed(z_BCHW, timestep), None)
        also_BD = unet.get_aug_embed(time_BD, text_BLD, added)
        time_BD = time_BD if also_BD is None else time_BD + also_BD
        h_BCHW = unet.conv_in(z_BCHW)
        _, skips = first(hidden_states=h_BCHW, temb=time_BD, **give_text(first, text_BLD))
        skips = (h_BCHW, *skips)[: len(last.resnets)]
        h_BCHW = last(hidden_states=self.deep, temb=time_BD, res_hidden_states_tuple=skips, **give_text(last, text_BLD))
        output_BCHW: Tensor = unet.conv_out(unet.conv_act(unet.conv_norm_out(h_BCHW)))
        return output_BCHW


def give_text(block: Any, text_BLD: Tensor) -> dict[str, Tensor]:
    """Return the text as a keyword argument for a block that attends to it, otherwise no argument."""
    return {"encoder_hidden_states": text_BLD} if getattr(block, "has_cross_attention", False) else {}
