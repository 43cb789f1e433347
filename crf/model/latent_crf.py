"""LatentCRF (arXiv 2412.18596): a continuous CRF over latents, solved by unrolled mean-field updates.

    E(x) = unary + pairwise + Field of Experts                                (eq. 1, crf/terms.py)
    x <- Norm( z + compat_c(K x) + sum_m mirror(w_m) * relu(w_m * x) )        (eq. 11)

z: the observed latents, x: the field, c: the pooled text; B, C, H, W as usual, N = H*W locations.
"""

from dataclasses import asdict
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from crf.model.config import LatentCRFConfig
from crf.model.terms import FieldOfExperts, Observed, Pairwise, Unary


class IterationNorm(nn.Module):
    """Batch-norm in place of the inverse (I + sum_j k_ij A'A)^-1: one affine map, statistics as configured.

    An iteration beyond those trained uses the last one's statistics. A correction of x0 starts at zero.
    """

    def __init__(self, config: LatentCRFConfig) -> None:
        super().__init__()
        count = config.iterations if config.norm_statistics == "iteration" else 1
        self.norms = nn.ModuleList(nn.BatchNorm2d(config.channels, affine=False) for _ in range(count))
        self.scale_C = nn.Parameter(torch.full((config.channels,), float(config.crf_input == "state")))
        self.shift_C = nn.Parameter(torch.zeros(config.channels))

    def forward(self, x_BCHW: Tensor, iteration: int) -> Tensor:
        normed: Tensor = self.norms[min(iteration, len(self.norms) - 1)](x_BCHW)
        return normed * self.scale_C[:, None, None] + self.shift_C[:, None, None]


class LatentCRF(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Observed latents (B, C, H, W) and pooled text (B, D) -> inferred latents (B, C, H, W)."""

    config_name = "config.json"

    def __init__(self, config: LatentCRFConfig) -> None:
        super().__init__()
        self.register_to_config(**asdict(config))
        self.settings = config
        self.unary = Unary(config)
        self.pairwise = Pairwise(config) if config.with_pairwise else None
        self.experts = FieldOfExperts(config) if config.with_higher_order else None
        self.norm = IterationNorm(config) if config.normalizer == "batch" else None

    @classmethod
    def from_config(cls, config: dict[str, Any], **_: Any) -> "LatentCRF":
        """What ``from_pretrained`` calls, with the contents of config.json; a field that it lacks has its default."""
        fields = LatentCRFConfig.__dataclass_fields__.keys() & config.keys()
        return cls(LatentCRFConfig(**{name: config[name] for name in fields}))

    def forward(
        self,
        z_BCHW: Tensor,
        text_BD: Tensor | None = None,
        x0_BCHW: Tensor | None = None,
        iterations: int | None = None,
    ) -> Tensor:
        """Parallel mean-field updates (Algorithm 1), as many as trained with unless ``iterations`` says otherwise.

        ``z_BCHW``: the noisy state; ``x0_BCHW``: the teacher's x0 prediction there, where ``crf_input`` needs it.
        """
        observed = self.observe(z_BCHW, x0_BCHW)
        x_BCHW: Tensor = self.unary(observed)
        prepared = self.pairwise.similarity.prepared() if self.pairwise else None
        for iteration in range(self.settings.iterations if iterations is None else iterations):
            x_BCHW = self.update(x_BCHW, observed, text_BD, prepared, iteration)
        return x_BCHW

    def update(
        self,
        x_BCHW: Tensor,
        observed: Observed,
        text_BD: Tensor | None,
        prepared: Tensor | None,
        iteration: int = 0,
    ) -> Tensor:
        """One parallel update of every location (eq. 11); ``prepared``: the pairwise term's similarities.

        On the state, the unary's message goes through the normalizer with the others, as in the
        paper; on x0, the normalized messages correct it.
        """
        unary_BCHW: Tensor = self.unary(observed)
        message_BCHW = torch.zeros_like(x_BCHW)
        if self.pairwise is not None:
            message_BCHW = message_BCHW + self.pairwise(x_BCHW, observed, text_BD, prepared)
        if self.experts is not None:
            message_BCHW = message_BCHW + self.experts(x_BCHW, observed)
        if self.settings.normalizer == "exact":
            return self._solve(unary_BCHW + message_BCHW, text_BD)
        if self.norm is None:
            return unary_BCHW + message_BCHW
        if self.settings.crf_input == "state":
            whole_BCHW: Tensor = self.norm(unary_BCHW + message_BCHW, iteration)
            return whole_BCHW
        correction_BCHW: Tensor = self.norm(message_BCHW, iteration)
        return unary_BCHW + correction_BCHW

    def energy(
        self, x_BCHW: Tensor, z_BCHW: Tensor, text_BD: Tensor | None = None, x0_BCHW: Tensor | None = None
    ) -> Tensor:
        """E(x) of each sample (B,) (eq. 1), up to a constant.

        The exact updates descend it. The learned parts of eq. 11 (compatibility network,
        batch-norm) stand for its gradient without being one.
        """
        observed = self.observe(z_BCHW, x0_BCHW)
        total: Tensor = self.unary.energy(x_BCHW, observed)
        if self.pairwise is not None:
            total = total + self.pairwise.energy(x_BCHW, text_BD)
        if self.experts is not None:
            total = total + self.experts.energy(x_BCHW, observed)
        return total

    def observe(self, z_BCHW: Tensor, x0_BCHW: Tensor | None) -> Observed:
        """What ``crf_input`` takes of the two."""
        expected = (self.settings.channels, self.settings.height, self.settings.width)
        if tuple(z_BCHW.shape[1:]) != expected:
            raise ValueError(
                f"expected latents of {expected} (channels, height, width), found {tuple(z_BCHW.shape[1:])}; "
                "a CRF serves the size that it was trained for"
            )
        if self.settings.crf_input == "state":
            return (z_BCHW,)
        if x0_BCHW is None:
            raise ValueError(f"crf_input={self.settings.crf_input!r} needs the teacher's x0 prediction: pass x0_BCHW")
        return (x0_BCHW,) if self.settings.crf_input == "x0" else (x0_BCHW, z_BCHW)

    def _solve(self, right_BCHW: Tensor, text_BD: Tensor | None) -> Tensor:
        """(I + sum_j k_ij A'A)^-1 applied at every location (eq. 8)."""
        if self.pairwise is None:
            return right_BCHW
        matrix_BNCC = self.pairwise.precision(text_BD, len(right_BCHW))
        matrix_BNCC = matrix_BNCC + torch.eye(right_BCHW.shape[1]).to(right_BCHW)
        right_BNC1 = right_BCHW.flatten(2).transpose(1, 2)[..., None]
        exact = torch.promote_types(right_BCHW.dtype, torch.float32)  # there is no solve in half precision
        solved_BNC: Tensor = torch.linalg.solve(matrix_BNCC.to(exact), right_BNC1.to(exact))[..., 0]
        return solved_BNC.transpose(1, 2).reshape(right_BCHW.shape).to(right_BCHW.dtype)


# diffusers writes a component's module into model_index.json: the public one, which stays where it is.
LatentCRF.__module__ = "crf.model"
