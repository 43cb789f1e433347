"""DeepCache (Ma et al. 2023, arXiv 2312.00858): deep features change slowly, so most are computed every other step.

A control that needs no training, for teachers with a U-Net.
"""

import copy
from typing import Any

from torch import Tensor

from crf.teacher.teacher import Teacher


def with_cached_features(teacher: Teacher, interval: int) -> Teacher:
    """The teacher, evaluating its whole U-Net on every ``interval``-th call only."""
    cached, family = copy.copy(teacher), copy.copy(teacher.family)
    family.network = CachedUNet(family.network, interval)
    cached.family = family
    return cached


class CachedUNet:
    """A U-Net whose outermost blocks run on every call, and all others on the first of ``interval``.

    Called as ``UNet2DConditionModel`` with ``return_dict=False``.
    """

    def __init__(self, unet: Any, interval: int) -> None:
        self.unet, self.interval = unet, interval
        self.dtype = unet.dtype
        self.calls = 0
        self.deep: Tensor | None = None

    def __call__(self, z_BCHW: Tensor, timestep: float, encoder_hidden_states: Tensor, **more: Any) -> tuple[Tensor]:
        self.calls += 1
        if (self.calls - 1) % self.interval == 0:
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
        """What the U-Net's own ``forward`` does, with everything between its outermost blocks remembered."""
        unet = self.unet
        first, last = unet.down_blocks[0], unet.up_blocks[-1]
        time_BD = unet.time_embedding(unet.get_time_embed(z_BCHW, timestep), None)
        also_BD = unet.get_aug_embed(time_BD, text_BLD, added)
        time_BD = time_BD if also_BD is None else time_BD + also_BD
        h_BCHW = unet.conv_in(z_BCHW)
        _, skips = first(hidden_states=h_BCHW, temb=time_BD, **attends(first, text_BLD))
        skips = (h_BCHW, *skips)[: len(last.resnets)]
        h_BCHW = last(hidden_states=self.deep, temb=time_BD, res_hidden_states_tuple=skips, **attends(last, text_BLD))
        output_BCHW: Tensor = unet.conv_out(unet.conv_act(unet.conv_norm_out(h_BCHW)))
        return output_BCHW


def attends(block: Any, text_BLD: Tensor) -> dict[str, Tensor]:
    """A block's text, if it attends to any."""
    return {"encoder_hidden_states": text_BLD} if getattr(block, "has_cross_attention", False) else {}
