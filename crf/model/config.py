"""The options of a CRF, with every choice that the paper leaves open, and the config that a CRF is saved with."""

from dataclasses import dataclass, field
from typing import Literal, Self

from crf.errors import ConfigError


@dataclass(frozen=True)
class CRFOptions:
    """What the CRF computes, whatever the shape of the latents. The sizes default to the paper's.

    The one declaration of these options: forms and command lines are made from it, with the strings below as
    their help and the metadata as their bounds.
    """

    heads: int = field(default=7, metadata={"ge": 1})
    """pairwise similarity functions"""
    hidden: int = field(default=2048, metadata={"ge": 1})
    """channels of the compatibility network"""
    filters: int = field(default=1024, metadata={"ge": 1})
    """filters of the Field of Experts"""
    kernel_size: int = field(default=5, metadata={"ge": 1})
    """side of those filters, in latents"""
    iterations: int = field(default=5, metadata={"ge": 1})
    """mean-field updates"""
    with_text: bool = True
    """condition the compatibility on the caption"""
    with_pairwise: bool = True
    """pass messages along learned similarities"""
    with_higher_order: bool = True
    """use the Field of Experts"""
    crf_input: Literal["state", "x0", "x0+state"] = "state"
    """what the CRF observes: the noisy state (the paper), the teacher's x0 prediction, which it then corrects, or both,
    each with a learned precision"""
    potentials: Literal["field", "observed"] = "field"
    """what the potentials look at: the field alone (the paper), or also what the CRF observes"""
    expert_weights: Literal["one", "signed"] = "one"
    """weight of each expert: one (the paper), or learned and half of them negative at first (Roth & Black 2005)"""
    similarity: Literal["dense", "stationary"] = "dense"
    """dense: a table of all pairs of locations per head; stationary: a function of their offset, for latents above
    64x64"""
    compatibility: Literal["network", "linear"] = "network"
    """network: 1x1 convolution, text modulation, SiLU, 1x1 convolution; linear: the energy's own matrix"""
    normalizer: Literal["batch", "exact", "none"] = "batch"
    """what stands for the inverse matrix of the update: batch-norm, the inverse itself, or nothing"""
    norm_statistics: Literal["iteration", "shared"] = "iteration"
    """batch-norm's running mean and variance: one per iteration, or shared by all"""
    similarity_width: float = field(default=1.0, metadata={"gt": 0})
    """width of the first head's Gaussian before training, in latents"""
    similarity_growth: float = field(default=2.0, metadata={"gt": 0})
    """how many times wider each next head's Gaussian is"""

    def __post_init__(self) -> None:
        if not (self.with_pairwise or self.with_higher_order):
            raise ConfigError("with_pairwise or with_higher_order", "neither", "leave out only one of them")
        if self.normalizer == "exact" and (self.compatibility, self.crf_input) != ("linear", "state"):
            raise ConfigError(
                "compatibility='linear' and crf_input='state', whose own matrix the exact normalizer inverts",
                f"{self.compatibility!r} and {self.crf_input!r}",
                "use normalizer='batch'",
            )


@dataclass(frozen=True)
class LatentCRFConfig(CRFOptions):
    """Everything that a CRF is made from: its options, the shape of its latents, and its place in a schedule.

    A CRF does not see the timestep: distillation trains it for one place of a schedule, which ``lead`` and
    ``tail`` record. See ``CRFOptions`` for all other fields.

    Args:
        height: Height of the latents; 64 by default, for 512 pixels.
        width: Width of the latents; 64 by default.
        channels: Channels of the latents; 8 by default.
        text_width: Width of the teacher's pooled text; 1024 by default.
        lead: What came before the CRF in distillation, such as "31/40"; None (default) before distillation.
        tail: Timestep at which the evaluations after the CRF start that it was trained for; None (default) if
            it was trained to end the trajectory itself.

    Raises:
        ConfigError: The options contradict each other.

    Example:
        >>> LatentCRFConfig(height=16, width=16, channels=4, text_width=768, crf_input="x0+state").observations
        2
    """

    height: int = 64
    width: int = 64
    channels: int = 8
    text_width: int = 1024
    lead: str | None = None
    tail: int | None = None

    @classmethod
    def paper(cls) -> Self:
        """The paper's config: latents of 64x64x8, 130 M parameters."""
        return cls()

    @property
    def observations(self) -> int:
        """Number of latents that the CRF observes."""
        return 2 if self.crf_input == "x0+state" else 1

    @property
    def potential_channels(self) -> int:
        """Channels that the potentials look at: the field's, and those of the observations if they see them."""
        return self.channels * (1 + (self.observations if self.potentials == "observed" else 0))


# The paper's ablations (its table 3), as changes of a config.
ABLATIONS: dict[str, dict[str, int | bool]] = {
    "without text": {"with_text": False},
    "without higher order": {"with_higher_order": False},
    "without higher order and text": {"with_higher_order": False, "with_text": False},
    "without pairwise": {"with_pairwise": False},
    "1 iteration": {"iterations": 1},
    "3 iterations": {"iterations": 3},
    "10 iterations": {"iterations": 10},
}
