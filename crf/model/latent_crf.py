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

from crf.errors import ConfigError
from crf.model.config import LatentCRFConfig
from crf.model.observation import Observation
from crf.model.terms import FieldOfExperts, Observed, Pairwise, make_unary
from crf.model.timesteps import Modulation, TimestepModulation


class IterationNorm(nn.Module):
    """Batch-norm that replaces the inverse (I + sum_j k_ij A'A)^-1, with one affine map for all iterations.

    Iterations beyond the trained number use the statistics of the last one. If the CRF observes x0, the scale starts
    at zero, and so does the correction of x0.
    """

    def __init__(self, config: LatentCRFConfig) -> None:
        super().__init__()
        count = config.iterations if config.norm_statistics == "iteration" else 1
        self.norms = nn.ModuleList(nn.BatchNorm2d(config.channels, affine=False) for _ in range(count))
        self.scale_C = nn.Parameter(torch.full((config.channels,), float(config.crf_input == "state")))
        self.shift_C = nn.Parameter(torch.zeros(config.channels))

    def forward(self, x_BCHW: Tensor, iteration: int, told: Modulation | None = None) -> Tensor:
        """Normalize the messages (B, C, H, W) of one iteration, counted from 0."""
        normed: Tensor = self.norms[min(iteration, len(self.norms) - 1)](x_BCHW)
        normed = normed * self.scale_C[:, None, None] + self.shift_C[:, None, None]
        return normed if told is None else normed * (1 + told.scale_BC[..., None, None])


class LatentCRF(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """A continuous CRF that infers clean latents from a noisy state of a diffusion process.

    It is a diffusers model: ``save_pretrained``, ``from_pretrained`` and ``to`` work as in diffusers. Latents have
    the teacher's units: those of the VAE, shifted and scaled.

    Args:
        config: Options, shape of the latents and place in a schedule. Available as ``settings``.

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
        self.unary = make_unary(config)
        self.pairwise = Pairwise(config) if config.with_pairwise else None
        self.experts = FieldOfExperts(config) if config.with_higher_order else None
        self.norm = IterationNorm(config) if config.normalizer == "batch" else None
        self.modulation = TimestepModulation(config) if config.with_timesteps else None

    @classmethod
    def from_pretrained(cls, path: Any, **options: Any) -> "LatentCRF":
        """Load a CRF from a folder, unless told otherwise from safetensors alone: a pickle could run any code.

        ``options`` are diffusers' own.
        """
        crf: LatentCRF = super().from_pretrained(path, **{"use_safetensors": True, **options})
        return crf

    @classmethod
    def from_config(cls, config: dict[str, Any], **_: Any) -> "LatentCRF":
        """Make an untrained CRF from the contents of a config.json.

        Args:
            config: Field -> value. A missing field takes its default; unknown entries are ignored.

        Returns:
            The CRF, with newly initialized weights.

        Raises:
            ConfigError: The options contradict each other.
        """
        fields = LatentCRFConfig.__dataclass_fields__.keys() & config.keys()
        return cls(LatentCRFConfig(**{name: config[name] for name in fields}))

    def record_place(self, lead: str | None, tail: int | None, schedule: str | None = None) -> None:
        """Record in the config the place in a schedule that this CRF is distilled for.

        Args:
            lead: The schedule before the CRF, e.g. "31/40"; None if it is distilled on roll-outs.
            tail: Timestep of the first evaluation after the CRF; None if the CRF predicts the final latents.
            schedule: The schedule of the roll-outs; None (default) if it is distilled at the end of a lead.
        """
        place = {"lead": lead, "tail": tail, "schedule": schedule}
        self.settings = replace(self.settings, **place)  # type: ignore[arg-type]
        self.register_to_config(**place)

    @torch.no_grad()
    def reset_corrections(self) -> None:
        """Make the CRF return x0 again, to the last bit. Its filters and similarities stay as they are.

        Raises ConfigError if it is not told its timesteps or has no batch-norm.
        """
        if self.modulation is None or self.norm is None:
            raise ConfigError("a CRF that is told its timesteps and has batch-norm", "another", "train one with both")
        for part in (self.unary, self.modulation.last):
            for parameter in part.parameters():
                parameter.zero_()
        self.norm.scale_C.zero_()
        self.norm.shift_C.zero_()

    def forward(
        self,
        z_BCHW: Tensor,
        text_BD: Tensor | None = None,
        x0_BCHW: Tensor | None = None,
        iterations: int | None = None,
        *,
        previous_BCHW: Tensor | None = None,
        guidance_BCHW: Tensor | None = None,
        timesteps_B2: Tensor | None = None,
    ) -> Tensor:
        """Infer clean latents by parallel mean-field updates (Algorithm 1).

        All tensors have the dtype and device of the CRF's weights.

        Args:
            z_BCHW: The noisy state, (B, C, H, W).
            text_BD: The teacher's pooled text, (B, D). None (default) skips the text condition; ignored if
                ``with_text`` is False.
            x0_BCHW: The teacher's x0 prediction at that state, (B, C, H, W). Required unless ``crf_input`` is
                "state".
            iterations: Number of updates. Default: ``settings.iterations``.
            previous_BCHW: The x0 prediction of the evaluation before, (B, C, H, W). Required if ``crf_input`` has it.
            guidance_BCHW: The difference that the caption makes to x0, (B, C, H, W). Required if ``crf_input`` has it.
            timesteps_B2: Timesteps of the evaluation before the CRF and of the one after it, (B, 2). Required if
                ``with_timesteps``.

        Returns:
            The inferred latents, (B, C, H, W).

        Raises:
            InputError: The latents do not have the config's shape, or an input is missing.
        """
        observation = Observation(z_BCHW, x0_BCHW, previous_BCHW, guidance_BCHW, timesteps_B2)
        observed, told = observation.select(self.settings), self._read_timesteps(observation)
        x_BCHW: Tensor = self.unary(observed, told)
        prepared = self.pairwise.similarity.prepare() if self.pairwise else None
        for iteration in range(self.settings.iterations if iterations is None else iterations):
            x_BCHW = self.update(x_BCHW, observed, text_BD, prepared, iteration, told)
        return x_BCHW

    def update(
        self,
        x_BCHW: Tensor,
        observed: Observed,
        text_BD: Tensor | None,
        prepared: Tensor | None,
        iteration: int = 0,
        told: Modulation | None = None,
    ) -> Tensor:
        """Update every location once, in parallel (eq. 11).

        If the CRF observes the state, the normalizer is applied to the sum of all messages, as in the paper. If it
        observes x0, the normalizer is applied to the other messages, which then correct x0.

        Args:
            x_BCHW: The field, (B, C, H, W).
            observed: The result of ``Observation.select``.
            text_BD: The teacher's pooled text, (B, D), or None.
            prepared: The result of ``pairwise.similarity.prepare()``; None if the CRF has no pairwise term.
            iteration: Number of the iteration, which selects the batch-norm statistics. Default 0.
            told: What the timesteps change, if the CRF is told them. Default None.

        Returns:
            The updated field, (B, C, H, W).
        """
        unary_BCHW: Tensor = self.unary(observed, told)
        message_BCHW = torch.zeros_like(x_BCHW)
        if self.pairwise is not None:
            message_BCHW = message_BCHW + self.pairwise(x_BCHW, observed, text_BD, prepared)
        if self.experts is not None:
            message_BCHW = message_BCHW + self.experts(x_BCHW, observed, told)
        if self.settings.normalizer == "exact":
            return self._solve(unary_BCHW + message_BCHW, text_BD)
        if self.norm is None:
            return unary_BCHW + message_BCHW
        if self.settings.crf_input == "state":
            whole_BCHW: Tensor = self.norm(unary_BCHW + message_BCHW, iteration)
            return whole_BCHW
        correction_BCHW: Tensor = self.norm(message_BCHW, iteration, told)
        return unary_BCHW + correction_BCHW

    def energy(self, x_BCHW: Tensor, observation: Observation, text_BD: Tensor | None = None) -> Tensor:
        """Compute the energy E(x) of each sample, up to a constant (eq. 1).

        Updates with ``normalizer="exact"`` descend it. The learned parts of eq. 11 (compatibility network,
        batch-norm) replace its gradient, so other updates need not.

        Args:
            x_BCHW: The field, (B, C, H, W).
            observation: What the CRF may observe.
            text_BD: The teacher's pooled text, (B, D), or None (default).

        Returns:
            The energies, (B,).

        Raises:
            InputError: The latents do not have the config's shape, or an input is missing.
        """
        observed, told = observation.select(self.settings), self._read_timesteps(observation)
        total: Tensor = self.unary.energy(x_BCHW, observed, told)
        if self.pairwise is not None:
            total = total + self.pairwise.energy(x_BCHW, text_BD)
        if self.experts is not None:
            total = total + self.experts.energy(x_BCHW, observed, told)
        return total

    def _read_timesteps(self, observation: Observation) -> Modulation | None:
        if self.modulation is None:
            return None
        told: Modulation = self.modulation(observation.require_timesteps())
        return told

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


# diffusers writes this module's name into model_index.json, so it has to be the public one.
LatentCRF.__module__ = "crf.model"
