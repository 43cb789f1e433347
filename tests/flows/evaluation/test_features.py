"""The network for ``--features`` is the same in a folder and at a URL."""

from pathlib import Path

import pytest

from flows.evaluation.features import describe_features, identify_features
from storage import UserError, locations
from storage.model_files.disk import VARIABLE
from tests.support.feature_networks import save_clip


def test_features_at_a_url_are_those_of_the_folder(
    gcs_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    folder, url = save_clip(tmp_path / "clip"), f"{gcs_root}/features/clip"
    for file in folder.iterdir():
        locations.write_bytes(f"{url}/{file.name}", file.read_bytes())
    assert identify_features(url) == identify_features(str(folder))
    description, has_text = describe_features(url)
    assert (description, has_text) == describe_features(str(folder))
    assert has_text
    with pytest.raises(UserError, match=f"found nothing at {gcs_root}/features/none"):
        identify_features(f"{gcs_root}/features/none")
