"""DeepCache (Ma et al. 2023, arXiv 2312.00858): deep features change slowly, so most steps reuse them.

It is a control that needs no training, for teachers with a U-Net.
"""

import copy
from typing import Any

from torch import Tensor

from crf.errors import TeacherError
from crf.teacher.teacher import Teacher


def cache_features(teacher: Teacher, interval: int, extrapolated: bool = False) -> Teacher:
    """Copy a teacher so that the copy evaluates the whole U-Net on every ``interval``-th step only; shares weights.

    Args:
        teacher: The teacher.
        interval: Steps per whole evaluation.
        extrapolated: Whether the deep features are extrapolated from the last two whole evaluations, linearly in the
            timestep. Default False: those of the last one are reused.

    Raises:
        TeacherError: The teacher's network is not a U-Net.
    """
    if not hasattr(teacher.family.network, "up_blocks"):
        raise TeacherError(
            "a teacher with a U-Net for DeepCache", type(teacher.family.network).__name__, "leave out 'deepcache'"
        )
    cached, family = copy.copy(teacher), copy.copy(teacher.family)
    family.network = CachedUNet(family.network, interval, extrapolated)
    cached.family = family
    return cached


class CachedUNet:
    """A U-Net that runs its outermost blocks at every step, and all other blocks once per ``interval`` steps.

    Call it like ``UNet2DConditionModel`` with ``return_dict=False``. Timesteps descend along a trajectory, so a
    timestep that does not descend starts a new trajectory, with a whole evaluation.
    """

    def __init__(self, unet: Any, interval: int, extrapolated: bool = False) -> None:
        self.unet, self.interval, self.extrapolated = unet, interval, extrapolated
        self.dtype = unet.dtype
        self.steps = 0
        self.last_timestep = 0.0
        self.deep: list[tuple[float, Tensor]] = []  # of the last two whole evaluations

    def __call__(self, z_BCHW: Tensor, scalar: Tensor, encoder_hidden_states: Tensor, **more: Any) -> tuple[Tensor]:
        timestep = scalar.item()
        self.steps = self.steps + 1 if timestep < self.last_timestep else 0
        self.last_timestep = timestep
        if self.steps == 0:
            self.deep = []
        # Guidance that begins on the way doubles the rows; one that ends leaves those with the caption, the last.
        if self.steps % self.interval == 0 or len(self.deep[-1][1]) < len(z_BCHW):
            return self._whole(z_BCHW, timestep, encoder_hidden_states, **more)
        deep_BCHW = self._recall(timestep)[-len(z_BCHW) :]
        return (self._shallow(z_BCHW, timestep, deep_BCHW, encoder_hidden_states, more.get("added_cond_kwargs")),)

    def _whole(self, z_BCHW: Tensor, timestep: float, *args: Any, **more: Any) -> tuple[Tensor]:
        def keep(block: Any, positional: Any, named: dict[str, Any]) -> None:
            self.deep = [*self.deep[-1:], (timestep, named["hidden_states"])]

        handle = self.unet.up_blocks[-1].register_forward_pre_hook(keep, with_kwargs=True)
        try:
            # Not a compiled U-Net: that runs no hooks.
            output: tuple[Tensor] = self.unet.forward(z_BCHW, timestep, *args, **more)
        finally:
            handle.remove()
        return output

    def _recall(self, timestep: float) -> Tensor:
        """Return the deep features for a timestep without a whole evaluation."""
        last_timestep, last = self.deep[-1]
        if not self.extrapolated or len(self.deep) < 2 or len(self.deep[0][1]) != len(last):
            return last
        before_timestep, before = self.deep[0]
        return last + (last - before) * ((timestep - last_timestep) / (last_timestep - before_timestep))

    def _shallow(self, z_BCHW: Tensor, timestep: float, deep_BCHW: Tensor, text_BLD: Tensor, added: Any) -> Tensor:
        """Repeat the U-Net's own ``forward``, but take the features between its outermost blocks as given."""
        unet = self.unet
        first, last = unet.down_blocks[0], unet.up_blocks[-1]
        time_BD = unet.time_embedding(unet.get_time_embed(z_BCHW, timestep), None)
        also_BD = unet.get_aug_embed(time_BD, text_BLD, added)
        time_BD = time_BD if also_BD is None else time_BD + also_BD
        h_BCHW = unet.conv_in(z_BCHW)
        _, skips = first(hidden_states=h_BCHW, temb=time_BD, **give_text(first, text_BLD))
        skips = (h_BCHW, *skips)[: len(last.resnets)]
        h_BCHW = last(hidden_states=deep_BCHW, temb=time_BD, res_hidden_states_tuple=skips, **give_text(last, text_BLD))
        output_BCHW: Tensor = unet.conv_out(unet.conv_act(unet.conv_norm_out(h_BCHW)))
        return output_BCHW


def give_text(block: Any, text_BLD: Tensor) -> dict[str, Tensor]:
    """Return the text as a keyword argument for a block that attends to it, otherwise no argument."""
    return {"encoder_hidden_states": text_BLD} if getattr(block, "has_cross_attention", False) else {}
