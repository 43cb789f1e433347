"""Errors keep their type and message on their way between processes."""

import pickle

import pytest

from crf.errors import ConfigError, CRFError, InputError, ScheduleError, TeacherError


@pytest.mark.parametrize("kind", [CRFError, TeacherError, ScheduleError, ConfigError, InputError])
def test_pickled_and_back(kind: type[CRFError]) -> None:
    error = pickle.loads(pickle.dumps(kind("a cat", "a dog", "look again")))
    assert type(error) is kind
    assert isinstance(error, CRFError)
    assert str(error) == "expected a cat, found a dog; look again"
