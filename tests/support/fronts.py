"""Fronts of schedules, as a search writes them."""

from crf.front import Front, FrontPoint, hash_caption


def make_front(recommended: int | None = 3, teacher: dict[str, str] | None = None) -> Front:
    """Make a front of two schedules. ``teacher``: fingerprints of the parts of its teacher."""
    points = (
        FrontPoint(4, 8, "4@981,721,401,161", (981, 721, 401, 161), 0.001, 0.0005, 0.0015),
        FrontPoint(3, 6, "3@981,501,201 (dpm++)", (981, 501, 201), 0.002, 0.001, 0.003),
    )
    return Front(points, recommended, teacher or {"unet": "0" * 16}, 4.0, (hash_caption("a cat"),))
