"""LatentCRF (arXiv 2412.18596): a continuous CRF over latents, solved by unrolled mean-field updates.

    E(x) = unary + pairwise + Field of Experts                                (eq. 1, crf/model/terms.py)
    x <- Norm( z + compat_c(K x) + sum_m mirror(w_m) * relu(w_m * x) )        (eq. 11)

z: the observed latents, x: the field, c: the pooled text; B, C, H, W as usual, N = H*W locations.
"""

from dataclasses import asdict, replace
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from crf.errors import InputError
from crf.model.config import LatentCRFConfig
from crf.model.terms import FieldOfExperts, Observed, Pairwise, Unary


class IterationNorm(nn.Module):
    """Batch-norm in place of the inverse (I + sum_j k_ij A'A)^-1: one affine map for all iterations.

    Iterations beyond those trained use the statistics of the last one. A correction of x0 starts at zero.
    """

    def __init__(self, config: LatentCRFConfig) -> None:
        super().__init__()
        count = config.iterations if config.norm_statistics == "iteration" else 1
        self.norms = nn.ModuleList(nn.BatchNorm2d(config.channels, affine=False) for _ in range(count))
        self.scale_C = nn.Parameter(torch.full((config.channels,), float(config.crf_input == "state")))
        self.shift_C = nn.Parameter(torch.zeros(config.channels))

    def forward(self, x_BCHW: Tensor, iteration: int) -> Tensor:
        """The normalized messages (B, C, H, W)."""
        normed: Tensor = self.norms[min(iteration, len(self.norms) - 1)](x_BCHW)
        return normed * self.scale_C[:, None, None] + self.shift_C[:, None, None]


class LatentCRF(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """A continuous CRF that infers clean latents from the state of a diffusion process.

    A diffusers model: ``save_pretrained``, ``from_pretrained``, ``to`` and the rest work as in diffusers.
    Latents are those of the diffusion process (the VAE's, shifted and scaled), in the teacher's units.

    Args:
        config: Options, shape of the latents and place in a schedule; also kept as ``settings``.

    Example:
        >>> crf = LatentCRF(LatentCRFConfig(height=4, width=4, channels=8, text_width=16, hidden=32, filters=32))
        >>> crf(torch.randn(2, 8, 4, 4), torch.randn(2, 16)).shape
        torch.Size([2, 8, 4, 4])
    """

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
        """Make a CRF from the contents of config.json; a missing field takes its default."""
        fields = LatentCRFConfig.__dataclass_fields__.keys() & config.keys()
        return cls(LatentCRFConfig(**{name: config[name] for name in fields}))

    def record_place(self, lead: str, tail: int | None) -> None:
        """Write into the config what this CRF is distilled on; see ``LatentCRFConfig``."""
        self.settings = replace(self.settings, lead=lead, tail=tail)
        self.register_to_config(lead=lead, tail=tail)

    def forward(
        self,
        z_BCHW: Tensor,
        text_BD: Tensor | None = None,
        x0_BCHW: Tensor | None = None,
        iterations: int | None = None,
    ) -> Tensor:
        """Infer clean latents by parallel mean-field updates (Algorithm 1).

        Args:
            z_BCHW: The noisy state, (B, C, H, W).
            text_BD: The teacher's pooled text, (B, D); ignored if the config is without text.
            x0_BCHW: The teacher's x0 prediction at that state, (B, C, H, W); needed unless ``crf_input`` is
                "state".
            iterations: Number of updates; as many as in training by default.

        Returns:
            The inferred latents, (B, C, H, W).

        Raises:
            InputError: The latents have another shape than the CRF was made for, or ``x0_BCHW`` is missing.
        """
        observed = self.observe(z_BCHW, x0_BCHW)
        x_BCHW: Tensor = self.unary(observed)
        prepared = self.pairwise.similarity.prepare() if self.pairwise else None
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
        """Update every location in parallel, once (eq. 11); ``prepared`` comes from ``similarity.prepare``.

        If the CRF observes the state, the normalizer takes the unary's message with the others, as in the
        paper; if it observes x0, the normalized messages correct x0.
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
        """The energy E(x) of each sample, (B,), up to a constant (eq. 1).

        The exact updates descend it. The learned parts of eq. 11 (compatibility network, batch-norm) replace
        its gradient without being one.
        """
        observed = self.observe(z_BCHW, x0_BCHW)
        total: Tensor = self.unary.energy(x_BCHW, observed)
        if self.pairwise is not None:
            total = total + self.pairwise.energy(x_BCHW, text_BD)
        if self.experts is not None:
            total = total + self.experts.energy(x_BCHW, observed)
        return total

    def observe(self, z_BCHW: Tensor, x0_BCHW: Tensor | None) -> Observed:
        """Pick what ``crf_input`` asks for; raises InputError for latents of another shape, or without x0."""
        expected = (self.settings.channels, self.settings.height, self.settings.width)
        if tuple(z_BCHW.shape[1:]) != expected:
            raise InputError(
                f"latents of {expected} (channels, height, width)",
                f"{tuple(z_BCHW.shape[1:])}",
                "a CRF serves the size that it was trained for",
            )
        if self.settings.crf_input == "state":
            return (z_BCHW,)
        if x0_BCHW is None:
            raise InputError(
                f"the teacher's x0 prediction for crf_input={self.settings.crf_input!r}", "none", "pass x0_BCHW"
            )
        return (x0_BCHW,) if self.settings.crf_input == "x0" else (x0_BCHW, z_BCHW)

    def _solve(self, right_BCHW: Tensor, text_BD: Tensor | None) -> Tensor:
        """Apply (I + sum_j k_ij A'A)^-1 at every location (eq. 8)."""
        if self.pairwise is None:
            return right_BCHW
        matrix_BNCC = self.pairwise.precision(text_BD, len(right_BCHW))
        matrix_BNCC = matrix_BNCC + torch.eye(right_BCHW.shape[1]).to(right_BCHW)
        right_BNC1 = right_BCHW.flatten(2).transpose(1, 2)[..., None]
        exact = torch.promote_types(right_BCHW.dtype, torch.float32)  # there is no solve in half precision
        solved_BNC: Tensor = torch.linalg.solve(matrix_BNCC.to(exact), right_BNC1.to(exact))[..., 0]
        return solved_BNC.transpose(1, 2).reshape(right_BCHW.shape).to(right_BCHW.dtype)


# diffusers writes this module into model_index.json; saved pipelines name the public one.
LatentCRF.__module__ = "crf.model"
