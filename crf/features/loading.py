"""Find the network for ``--features``."""

from pathlib import Path

from crf.features.network import FeatureNetwork


def load_features(path: str | Path | None = None, device: str = "cpu") -> FeatureNetwork:
    """Load the network that turns images into features.

    Args:
        path: A folder in transformers' format (CLIP, SigLIP, DINOv2 or another vision network) or a TorchScript file
            (e.g. inception-2015-12-05.pt). None (default): EfficientNet-Lite0.
        device: Device to compute on. Default "cpu".

    Returns:
        The network.

    Raises:
        InputError: There is neither at the path, or the network is incomplete or does not pool its output.
    """
    if path is None:
        from crf.features.efficientnet import EfficientNetFeatures

        return EfficientNetFeatures(device)
    if Path(path).is_dir():
        from crf.features.transformers_folder import TransformersFeatures

        return TransformersFeatures(Path(path), device)
    from crf.features.torchscript import TorchScriptFeatures

    return TorchScriptFeatures(Path(path), device)
