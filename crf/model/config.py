"""The options of a CRF, including every choice that the paper leaves open, and the config that is saved with it."""

from dataclasses import dataclass, field
from typing import Literal, Self

from crf.errors import ConfigError


@dataclass(frozen=True)
class CRFOptions:
    """The options of a CRF that do not depend on the teacher. The defaults are the paper's.

    Forms and command lines are generated from these fields: the string below a field is its help, the metadata are
    its bounds.

    Raises:
        ConfigError: The options contradict each other.
    """

    heads: int = field(default=7, metadata={"ge": 1})
    """number of pairwise similarity functions"""
    hidden: int = field(default=2048, metadata={"ge": 1})
    """channels of the compatibility network"""
    filters: int = field(default=1024, metadata={"ge": 1})
    """number of filters in the Field of Experts"""
    kernel_size: int = field(default=5, metadata={"ge": 1})
    """side length of the filters, in latent pixels"""
    iterations: int = field(default=5, metadata={"ge": 1})
    """number of mean-field updates"""
    with_text: bool = True
    """condition the compatibility on the caption"""
    with_pairwise: bool = True
    """pass messages along learned similarities"""
    with_higher_order: bool = True
    """use the Field of Experts"""
    crf_input: Literal[
        "state", "x0", "x0+state", "x0+state+previous", "x0+state+guidance", "x0+state+previous+guidance"
    ] = "state"
    """what the CRF observes: the noisy state (the paper), the teacher's x0 prediction, which it then corrects, or both,
    each with a learned precision; and with them how x0 has changed since the evaluation before (previous), and by how
    much guidance moves it (guidance)"""
    with_timesteps: bool = False
    """tell the CRF the timesteps that it stands between, so that one CRF serves every place in a schedule"""
    potentials: Literal["field", "observed"] = "field"
    """inputs of the potentials: the field alone (the paper), or also what the CRF observes"""
    expert_weights: Literal["one", "signed"] = "one"
    """weight of each expert: one (the paper), or learned, with half of them initially negative (Roth & Black 2005)"""
    similarity: Literal["dense", "stationary"] = "dense"
    """dense: one table of all pairs of locations per head; stationary: a function of their offset, for latents above
    64x64"""
    compatibility: Literal["network", "linear"] = "network"
    """network: 1x1 convolution, text modulation, SiLU, 1x1 convolution; linear: the energy's own matrix"""
    normalizer: Literal["batch", "exact", "none"] = "batch"
    """replacement for the matrix inverse in the update: batch-norm, the exact inverse, or none"""
    norm_statistics: Literal["iteration", "shared"] = "iteration"
    """running mean and variance of batch-norm: one pair per iteration, or one shared by all"""
    similarity_width: float = field(default=1.0, metadata={"gt": 0})
    """standard deviation of the first head's Gaussian before training, in latent pixels"""
    similarity_growth: float = field(default=2.0, metadata={"gt": 0})
    """ratio of each head's initial width to that of the head before"""

    def __post_init__(self) -> None:
        if not (self.with_pairwise or self.with_higher_order):
            raise ConfigError("with_pairwise or with_higher_order", "neither", "leave out only one of them")
        if self.normalizer == "exact" and (self.compatibility, self.crf_input) != ("linear", "state"):
            raise ConfigError(
                "compatibility='linear' and crf_input='state', whose own matrix the exact normalizer inverts",
                f"{self.compatibility!r} and {self.crf_input!r}",
                "use normalizer='batch'",
            )
        if self.with_timesteps and self.crf_input == "state":
            raise ConfigError("a CRF that observes x0, to tell it timesteps", "crf_input='state'", "observe x0, too")


@dataclass(frozen=True)
class LatentCRFConfig(CRFOptions):
    """The config of a CRF: its options, the shape of its latents, and its place in a schedule.

    Without ``with_timesteps``, distillation trains it for one place in a schedule, which ``lead`` and ``tail`` record.
    ``CRFOptions`` documents all other fields.

    Args:
        height: Height of the latents, in latent pixels. Default 64, for images of 512 pixels.
        width: Width of the latents, in latent pixels. Default 64.
        channels: Channels of the latents. Default 8.
        text_width: Width of the teacher's pooled text. Default 1024.
        lead: The schedule that came before the CRF in distillation, e.g. "31/40"; None (default) before distillation.
        tail: Timestep of the first evaluation after the CRF that it was distilled for; None (default) if it was
            distilled to predict the final latents themselves.
        schedule: The schedule in which it corrects evaluations, if it was distilled on roll-outs of one; None (default)
            otherwise.

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
    schedule: str | None = None

    @classmethod
    def paper(cls) -> Self:
        """Return the paper's config: latents of 64x64x8, 130 M parameters."""
        return cls()

    @property
    def observations(self) -> int:
        """Number of inputs that the CRF observes: 2 for "x0+state"."""
        return len(self.crf_input.split("+"))

    @property
    def potential_channels(self) -> int:
        """Input channels of the potentials: the field's and, if ``potentials`` is "observed", the observations'."""
        return self.channels * (1 + (self.observations if self.potentials == "observed" else 0))


# The paper's ablation of components (its table 5), and more: name -> changes to a config.
ABLATIONS: dict[str, dict[str, int | bool]] = {
    "without text": {"with_text": False},
    "without higher order": {"with_higher_order": False},
    "without higher order and text": {"with_higher_order": False, "with_text": False},
    "without pairwise": {"with_pairwise": False},
    "1 iteration": {"iterations": 1},
    "3 iterations": {"iterations": 3},
    "10 iterations": {"iterations": 10},
}
