"""Named protocols: what an evaluation holds fixed, so that its figures may stand beside others under that name.

They live in flows: a protocol sets the parameters of a stage and checks the files that a user brings, and neither crf
nor storage knows both. If you change a protocol, raise its version, because figures of two versions do not compare.
"""

from dataclasses import dataclass
from typing import Any, Literal

ProtocolName = Literal["demo", "coco30k", "parti"]


@dataclass(frozen=True)
class InputSet:
    """The captions or the real images that a protocol is defined on.

    Args:
        role: What the set is, for messages, e.g. "prompts of PartiPrompts (PartiPrompts.tsv)".
        count: Number of rows that the set has.
        sha256: SHA-256 of the file; None (default) for a set that the project does not ship.
    """

    role: str
    count: int
    sha256: str | None = None


@dataclass(frozen=True)
class NamedProtocol:
    """What an evaluation under this name holds fixed.

    Args:
        name: Its name on the command line.
        version: Raised with every change that can change a figure.
        captions: The captions to evaluate on.
        images: The real images to compare with; None if its metrics need none.
        limit: Number of captions to use, from the first on.
        noises: Noises per caption.
        vendi_captions: Number of captions, from the first on, that have ``vendi_noises`` noises.
        vendi_noises: Noises of each of those captions; None if there are none.
        guidance_scale: Classifier-free guidance scale.
        size: Pixels per side; None for the teacher's own.
        features: Name of the network, or part of it, whose features the metrics need; "" for any.
        metrics: Columns of the report that mean something with this many captions and images.
    """

    name: ProtocolName
    version: int
    captions: InputSet
    images: InputSet | None
    limit: int
    noises: int
    vendi_captions: int
    vendi_noises: int | None
    guidance_scale: float
    size: int | None
    features: str
    metrics: tuple[str, ...]

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of ``evaluate`` that the protocol fixes: name -> value."""
        fixed = ("limit", "noises", "vendi_captions", "vendi_noises", "guidance_scale", "size")
        return {name: getattr(self, name) for name in fixed if getattr(self, name) is not None}


FIDELITY = ("latent_mse", "converged_mse", "psnr", "feature_distance", "st_lpips")
DISTRIBUTION = ("distance_to_real", "kid_to_real", "precision", "recall", "density", "coverage")

DEMO = NamedProtocol(
    name="demo",
    version=1,
    captions=InputSet(
        "captions of the demo's held-out drawings (heldout.parquet)",
        count=376,
        sha256="0c3229651cbf43c4e93ee554cd2e69957473330368d40142df1bbea37b33a3e1",
    ),
    images=InputSet(
        "held-out drawings of the demo (heldout.parquet)",
        count=376,
        sha256="0c3229651cbf43c4e93ee554cd2e69957473330368d40142df1bbea37b33a3e1",
    ),
    limit=64,
    noises=1,
    vendi_captions=8,
    vendi_noises=4,
    guidance_scale=4.0,
    size=None,
    features="",
    metrics=(*FIDELITY, "caption_accuracy", "vendi"),
)

# The paper names neither the captions that it drew nor the images that it compared with. The choice here: the first
# 30,000 captions of the validation set's file, against all of its images.
COCO30K = NamedProtocol(
    name="coco30k",
    version=1,
    captions=InputSet("captions of COCO 2014 val (captions_val2014.json)", count=202_654),
    images=InputSet("images of COCO 2014 val (val2014)", count=40_504),
    limit=30_000,
    noises=1,
    vendi_captions=0,
    vendi_noises=None,
    guidance_scale=7.5,
    size=512,
    features="Inception",
    metrics=(*FIDELITY, *DISTRIBUTION, "clip_score", "caption_accuracy"),
)

# Appendix E: 16 images per prompt, one Vendi score per prompt, averaged.
PARTI = NamedProtocol(
    name="parti",
    version=1,
    captions=InputSet("prompts of PartiPrompts (PartiPrompts.tsv)", count=1_632),
    images=None,
    limit=1_632,
    noises=16,
    vendi_captions=1_632,
    vendi_noises=16,
    guidance_scale=7.5,
    size=512,
    features="CLIP",
    metrics=(*FIDELITY, "clip_score", "caption_accuracy", "vendi"),
)

PROTOCOLS: dict[str, NamedProtocol] = {protocol.name: protocol for protocol in (DEMO, COCO30K, PARTI)}
