"""The errors of crf. Each says what was expected, what was found and what to do next, in one line."""


class CRFError(ValueError):
    """A mistake that the user can correct. All errors of ``crf`` derive from it."""

    def __init__(self, expected: str, found: str, next_step: str) -> None:
        super().__init__(expected, found, next_step)

    def __str__(self) -> str:
        return "expected {}, found {}; {}".format(*self.args) if len(self.args) == 3 else str(self.args[0])


class TeacherError(CRFError):
    """There is no teacher, or none that fits."""

    def __init__(self, message: str) -> None:
        ValueError.__init__(self, message)


class ScheduleError(CRFError):
    """The schedule cannot be read."""

    def __init__(self, message: str) -> None:
        ValueError.__init__(self, message)
