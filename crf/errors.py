"""Errors meant for the person who made the call."""


class TeacherError(ValueError):
    """No teacher, or none that fits."""


class ScheduleError(ValueError):
    """The schedule cannot be read."""
