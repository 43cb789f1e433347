"""The three terms of the CRF's energy, each with its message in a mean-field update (arXiv 2412.18596).

x: the field; observed: the CRF's inputs (one to four latents); all BCHW. text: pooled (B, D);
h: heads, M: filters, N = H*W. Energies are sums over each sample: (B,).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crf.model.config import LatentCRFConfig
from crf.model.similarity import make_similarity
from crf.model.timesteps import Modulation

Observed = tuple[Tensor, ...]


class Unary(nn.Module):
    """The unary term 1/2 sum_i |x_i - z_i|^2 (eq. 2), with one precision per observation.

    A single observation has precision one. If the CRF observes x0 and the state, the state is a second, scaled
    observation whose share of the precision starts near zero. Share and scale are learned per channel, (C,).
    """

    def __init__(self, config: LatentCRFConfig) -> None:
        super().__init__()
        both = config.observations == 2
        self.share_logit_C = nn.Parameter(torch.full((config.channels,), -4.0)) if both else None
        self.scale_C = nn.Parameter(torch.ones(config.channels)) if both else None

    def forward(self, observed: Observed, _: Modulation | None = None) -> Tensor:
        """Compute the term's minimum (B, C, H, W): the mean of the observations, weighted by their precisions."""
        if self.share_logit_C is None or self.scale_C is None:
            return observed[0]
        x0_BCHW, state_BCHW = observed
        share_C11 = torch.sigmoid(self.share_logit_C)[:, None, None]
        return (1 - share_C11) * x0_BCHW + share_C11 * self.scale_C[:, None, None] * state_BCHW

    def energy(self, x_BCHW: Tensor, observed: Observed, _: Modulation | None = None) -> Tensor:
        """Compute the term's energy (B,)."""
        if self.share_logit_C is None or self.scale_C is None:
            return 0.5 * (x_BCHW - observed[0]).square().sum((1, 2, 3))
        x0_BCHW, state_BCHW = observed
        share_C11 = torch.sigmoid(self.share_logit_C)[:, None, None]
        from_x0 = (1 - share_C11) * (x_BCHW - x0_BCHW).square()
        from_state = share_C11 * (x_BCHW - self.scale_C[:, None, None] * state_BCHW).square()
        return 0.5 * (from_x0 + from_state).sum((1, 2, 3))


class LinearUnary(nn.Module):
    """The unary term 1/2 sum_i |x_i - m_i|^2, where m is x0 plus a linear combination of the other observations.

    Its coefficients are learned per channel, and start at zero. So it can be a step of any linear multistep solver,
    and before training it is x0 to the last bit. If the CRF is told its timesteps, they change the coefficients.
    """

    def __init__(self, config: LatentCRFConfig) -> None:
        super().__init__()
        self.coefficient_KC = nn.Parameter(torch.zeros(config.observations - 1, config.channels))

    def forward(self, observed: Observed, told: Modulation | None = None) -> Tensor:
        """Compute the term's minimum m, (B, C, H, W)."""
        m_BCHW = observed[0]
        for number, other_BCHW in enumerate(observed[1:]):
            coefficient = self.coefficient_KC[number]
            if told is not None:
                coefficient = coefficient + told.coefficient_BKC[:, number]
            m_BCHW = m_BCHW + coefficient[..., None, None] * other_BCHW
        return m_BCHW

    def energy(self, x_BCHW: Tensor, observed: Observed, told: Modulation | None = None) -> Tensor:
        """Compute the term's energy (B,)."""
        m_BCHW: Tensor = self(observed, told)
        return 0.5 * (x_BCHW - m_BCHW).square().sum((1, 2, 3))


def make_unary(config: LatentCRFConfig) -> "Unary | LinearUnary":
    """Make the unary term: a linear one if the CRF observes more than x0 and the state or is told its timesteps."""
    return LinearUnary(config) if config.with_timesteps or config.observations > 2 else Unary(config)


class Pairwise(nn.Module):
    """The pairwise term 1/2 sum_{i<j} k_ij |A_c (x_i - x_j)|^2 (eqs. 3, 4): k is learned, A depends on the text c.

    A_c of a head is its slice of ``project``, with rows scaled by the text. With linear compatibility, the message
    follows from the energy: A'A sum_j k_ij x_j. The network that replaces it (eq. 11) applies a nonlinearity and
    projects back by weights of its own.
    """

    def __init__(self, config: LatentCRFConfig) -> None:
        super().__init__()
        self.linear = config.compatibility == "linear"
        self.heads, self.channels = config.heads, config.channels
        self.sees_observed = config.potentials == "observed" and not self.linear
        self.similarity = make_similarity(config)
        channels_seen = config.potential_channels if self.sees_observed else config.channels
        self.project = nn.Conv2d(config.heads * channels_seen, config.hidden, 1, bias=not self.linear)
        self.modulate = make_text_modulation(config) if config.with_text else None
        self.compatibility = None if self.linear else nn.Conv2d(config.hidden, config.channels, 1)

    def forward(self, x_BCHW: Tensor, observed: Observed, text_BD: Tensor | None, prepared: Tensor) -> Tensor:
        """Compute the message to each location (B, C, H, W). ``prepared`` comes from ``similarity.prepare``."""
        seen = torch.cat([x_BCHW, *observed], dim=1) if self.sees_observed else x_BCHW
        message_BhCHW = self.similarity(seen, prepared)
        if self.compatibility is None:
            a_BhDC = self._compatibility_factor(text_BD, len(x_BCHW))
            return torch.einsum("bhdc,bhde,bheyx->bcyx", a_BhDC, a_BhDC, message_BhCHW)
        hidden_BDHW = self.project(message_BhCHW.flatten(1, 2))
        if self.modulate is not None and text_BD is not None:
            scale_BD, shift_BD = self.modulate(text_BD).chunk(2, dim=1)
            hidden_BDHW = hidden_BDHW * (1 + scale_BD[..., None, None]) + shift_BD[..., None, None]
        compatible: Tensor = self.compatibility(F.silu(hidden_BDHW))
        return compatible

    def energy(self, x_BCHW: Tensor, text_BD: Tensor | None) -> Tensor:
        """Compute the term's energy (B,). If k is not symmetric, its symmetric part counts."""
        k_hNN = self.similarity.table().to(x_BCHW.dtype)
        y_BhDN = torch.einsum("bhdc,bcn->bhdn", self._compatibility_factor(text_BD, len(x_BCHW)), x_BCHW.flatten(2))
        own_BhN = y_BhDN.square().sum(2)
        weight_hN = k_hNN.sum(1) + k_hNN.sum(2)
        shared_Bh = torch.einsum("hnm,bhdn,bhdm->bh", k_hNN, y_BhDN, y_BhDN)
        return 0.25 * ((own_BhN * weight_hN).sum(2) - 2 * shared_Bh).sum(1)

    def precision(self, text_BD: Tensor | None, batch: int) -> Tensor:
        """Compute sum_j k_ij A'A (B, N, C, C), which eq. 8 adds to the unary term's identity before inverting."""
        a_BhDC = self._compatibility_factor(text_BD, batch)
        return torch.einsum("bhdc,bhde,hn->bnce", a_BhDC, a_BhDC, self.similarity.table().sum(2))

    def _compatibility_factor(self, text_BD: Tensor | None, batch: int) -> Tensor:
        """Compute A_c per head (B, h, D, C)."""
        weight_DhC = self.project.weight.reshape(len(self.project.weight), self.heads, -1)[:, :, : self.channels]
        a_BhDC = weight_DhC.transpose(0, 1).expand(batch, -1, -1, -1)
        if self.modulate is not None and text_BD is not None:
            scale_BD, _ = self.modulate(text_BD).chunk(2, dim=1)
            a_BhDC = a_BhDC * (1 + scale_BD[:, None, :, None])
        return a_BhDC


class FieldOfExperts(nn.Module):
    """The higher-order term - sum_i sum_m a_m log phi((w_m * x)_i) (eqs. 5, 6), phi(y) = eps exp(relu(y)^2 / 2).

    The weights a_m are one in the paper. The message (eqs. 10, 11) is the negative gradient: the weighted responses,
    sent back through the mirrored filters. With ``potentials="observed"``, the response is w_m * [x, observed] + b_m.
    The message, through the filters' part on x, is still the negative gradient with respect to x, but a filter may
    then respond to a pattern other than the one that it adds.
    """

    def __init__(self, config: LatentCRFConfig) -> None:
        super().__init__()
        side = config.kernel_size
        self.channels, self.sees_observed = config.channels, config.potentials == "observed"
        fan_in = config.channels * side * side
        # At this scale the filter bank, followed by its adjoint, has a gain well below one.
        scale = 0.5 / (fan_in * config.filters) ** 0.25 / side
        self.filters = nn.Parameter(torch.randn(config.filters, config.potential_channels, side, side) * scale)
        self.bias_M = nn.Parameter(torch.zeros(config.filters)) if self.sees_observed else None
        signs_M = 1.0 - 2 * (torch.arange(config.filters) % 2)
        self.weight_M = nn.Parameter(signs_M) if config.expert_weights == "signed" else None

    def forward(self, x_BCHW: Tensor, observed: Observed, told: Modulation | None = None) -> Tensor:
        """Compute the message to each location (B, C, H, W)."""
        response_BMHW = self._weight(F.relu(self._filter(x_BCHW, observed, told)), told)
        mirrored = self.filters[:, : self.channels]
        return F.conv_transpose2d(response_BMHW, mirrored, padding=self.filters.shape[-1] // 2)

    def energy(self, x_BCHW: Tensor, observed: Observed, told: Modulation | None = None) -> Tensor:
        """Compute the term's energy (B,), without the constant that eps adds."""
        return -0.5 * self._weight(F.relu(self._filter(x_BCHW, observed, told)).square(), told).sum((1, 2, 3))

    def _filter(self, x_BCHW: Tensor, observed: Observed, told: Modulation | None) -> Tensor:
        seen = torch.cat([x_BCHW, *observed], dim=1) if self.sees_observed else x_BCHW
        y_BMHW = F.conv2d(seen, self.filters, self.bias_M, padding=self.filters.shape[-1] // 2)
        return y_BMHW if told is None else y_BMHW + told.bias_BM[..., None, None]

    def _weight(self, y_BMHW: Tensor, told: Modulation | None) -> Tensor:
        y_BMHW = y_BMHW if self.weight_M is None else y_BMHW * self.weight_M[:, None, None]
        return y_BMHW if told is None else y_BMHW * (1 + told.gain_BM[..., None, None])


def make_text_modulation(config: LatentCRFConfig) -> nn.Sequential:
    """Make a network from pooled text (B, D) to scale and shift (B, 2 * hidden). It returns zeros before training."""
    last = nn.Linear(config.hidden, 2 * config.hidden)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(config.text_width, config.hidden), nn.SiLU(), last)
