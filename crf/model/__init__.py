"""The CRF. Saved pipelines name ``crf.model`` as the module of ``LatentCRF``, so diffusers looks for it here."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crf.model.latent_crf import LatentCRF

__all__ = ["LatentCRF"]


def __getattr__(name: str) -> Any:
    """Import ``LatentCRF`` on first use: the config next to it needs no torch.

    diffusers also looks here for ``ModelMixin``, to learn how to load ``LatentCRF``.
    """
    if name not in ("LatentCRF", "ModelMixin"):
        raise AttributeError(f"module 'crf.model' has no attribute {name!r}")
    from crf.model import latent_crf

    return getattr(latent_crf, name)
