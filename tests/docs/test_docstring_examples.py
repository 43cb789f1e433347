"""The examples in docstrings that need no store and no teacher give what they show."""

import doctest

import pytest
import torch

from crf import LatentCRF, LatentCRFConfig, Schedule
from storage import ArraySpec, Identity
from storage.store.index import index_tables

NAMES = {"torch": torch, "LatentCRFConfig": LatentCRFConfig}


@pytest.mark.parametrize("documented", [LatentCRF, LatentCRFConfig, Schedule, ArraySpec, Identity, index_tables])
def test_the_example_gives_what_it_shows(documented: object) -> None:
    name = getattr(documented, "__name__", "")
    [example] = doctest.DocTestFinder(recurse=False).find(documented, name, globs={**NAMES, name: documented})
    result = doctest.DocTestRunner().run(example)
    assert result.attempted
    assert not result.failed
