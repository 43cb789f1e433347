"""A CRF that was loaded is saved as if it were new: no path of the machine is in its files."""

from pathlib import Path

from crf.model.latent_crf import LatentCRF
from flows.training.crf_files import load_crf, save_crf
from tests.support.crfs import SMALL
from tests.support.stores import read_objects


def test_what_was_loaded_is_saved_to_the_same_bytes(tmp_path: Path) -> None:
    first, again = str(tmp_path / "first"), str(tmp_path / "again")
    save_crf(LatentCRF(SMALL), first)
    save_crf(load_crf(first), again)
    assert read_objects(first) == read_objects(again)
