"""Names of the arrays that the stages store and that training and the report read."""

from crf.evaluation.methods import REFERENCE

LATENTS, TEXT, TRUNCATED, FEATURES = "latents", "text", "truncated", "features"
STEP_40, STEP_50, X0_40 = "step_40", "step_50", "x0_40"
LEAD_STATE, LEAD_X0, TAIL_STATE = "lead_state", "lead_x0", "tail_state"

CONVERGED = "converged"
"""Key of the converged reference, if the list of methods has one."""
ERRORS = {REFERENCE: ("latent_mse", "psnr", "feature_distance"), CONVERGED: ("converged_mse",)}
"""The errors to each of an evaluation's two references."""


def name_errors(keys: list[str]) -> list[str]:
    """Name the arrays of the methods' errors per sample, such as "psnr_crf_2". A reference has no error to itself."""
    return [
        f"{error}_{key}"
        for key in keys
        for reference, errors in ERRORS.items()
        if reference in keys and reference != key
        for error in errors
    ]
