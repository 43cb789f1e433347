"""The CRF's shape, and every choice that the paper leaves open."""

from dataclasses import dataclass
from typing import Literal, Self


@dataclass(frozen=True)
class LatentCRFConfig:
    """Sizes are the paper's; where it is silent, the choice is ours, stands here, and can be ablated.

    ``crf_input``: what the CRF observes. "state": the noisy latents (the paper). "x0": the
    teacher's estimate of the clean latents; the output is then a correction of it. "x0+state":
    both, each with a learned precision.

    ``potentials``: whether the Field of Experts and the pairwise messages look at the field alone
    ("field", the paper), or at the observations beside it ("observed"); see ``crf.model.terms``.

    ``expert_weights``: the weight of each expert in the Field of Experts. "one": the paper's, where each
    draws the field towards its filter. "signed": learned, half of them from minus one on, as in the
    Field of Experts' own paper (Roth & Black 2005); those push away from theirs.

    ``similarity``: "dense" learns every k_ij, N^2 of them a head (N = height * width): 117 M at
    64x64, 1.9 G at 128x128. "stationary" learns k as a function of the offset i - j and convolves
    by FFT: 4N parameters a head and N log N operations, for latents above 64x64. It is the form
    that the dense tables start from, and what natural images justify: their statistics hardly
    depend on the place.

    ``compatibility``: "network" is 1x1 convolution, text modulation, SiLU, 1x1 convolution;
    "linear" is the energy's own A'A.

    ``normalizer``: what stands for the inverse (I + sum_j k_ij A'A)^-1. "batch": batch-norm, one
    affine map (the paper says batch-norm). "exact": the inverse itself, for linear compatibility on
    the state. "none": nothing.

    ``norm_statistics``: batch-norm's running mean and variance of each "iteration", or "shared" by
    all of them.

    ``similarity_width``, ``similarity_growth``: the similarities start as Gaussians of the distance;
    the first head's width in latents, and how many times wider each next head's is.

    The CRF does not see the timestep: it stands at one place of a schedule, and stage 2 trains it
    for that place alone.
    """

    height: int = 64
    width: int = 64
    channels: int = 8
    text_width: int = 1024
    heads: int = 7
    hidden: int = 2048
    filters: int = 1024
    kernel_size: int = 5
    iterations: int = 5
    with_text: bool = True
    with_pairwise: bool = True
    with_higher_order: bool = True
    crf_input: Literal["state", "x0", "x0+state"] = "state"
    potentials: Literal["field", "observed"] = "field"
    expert_weights: Literal["one", "signed"] = "one"
    similarity: Literal["dense", "stationary"] = "dense"
    compatibility: Literal["network", "linear"] = "network"
    normalizer: Literal["batch", "exact", "none"] = "batch"
    norm_statistics: Literal["iteration", "shared"] = "iteration"
    similarity_width: float = 1.0
    similarity_growth: float = 2.0

    def __post_init__(self) -> None:
        if not (self.with_pairwise or self.with_higher_order):
            raise ValueError("expected with_pairwise or with_higher_order, found neither; leave out one of them only")
        if self.normalizer == "exact" and (self.compatibility, self.crf_input) != ("linear", "state"):
            raise ValueError(
                "the exact normalizer is the inverse of the linear compatibility's own matrix: expected "
                "compatibility='linear' and crf_input='state', found "
                f"{self.compatibility!r} and {self.crf_input!r}; use normalizer='batch'"
            )

    @classmethod
    def paper(cls) -> Self:
        """64x64x8 latents, 130 M parameters (the paper's 'only 130 million')."""
        return cls()

    @property
    def observations(self) -> int:
        """How many latents the CRF is given."""
        return 2 if self.crf_input == "x0+state" else 1

    @property
    def potential_channels(self) -> int:
        """Channels that the potentials look at: the field's, and the observations' if they see them."""
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
