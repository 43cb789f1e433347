"""Names of the arrays that the stages store and that training and the report read."""

from crf.evaluation.methods import CONVERGED, REFERENCE

LATENTS, TEXT, TRUNCATED, FEATURES = "latents", "text", "truncated", "features"
STEP_40, STEP_50, X0_40 = "step_40", "step_50", "x0_40"
LEAD_STATE, LEAD_X0, TAIL_STATE = "lead_state", "lead_x0", "tail_state"
TRAJECTORY_STATE, TRAJECTORY_X0, TRAJECTORY_PRODUCTS = "trajectory_state", "trajectory_x0", "trajectory_products"
ROLLOUT_STATE, ROLLOUT_X0, ROLLOUT_PREVIOUS = "rollout_state", "rollout_x0", "rollout_previous"
ROLLOUT_GUIDANCE, ROLLOUT_NEXT, ROLLOUT_GAIN = "rollout_guidance", "rollout_next", "rollout_gain"
ROLLOUT_LATENTS = (ROLLOUT_STATE, ROLLOUT_X0, ROLLOUT_PREVIOUS, ROLLOUT_GUIDANCE, ROLLOUT_NEXT)
LATENT_MSE, CONVERGED_MSE = "latent_mse", "converged_mse"
PSNR, FEATURE_DISTANCE, ST_LPIPS = "psnr", "feature_distance", "st_lpips"
CLIP_SCORE, RECOGNISED = "clip_score", "recognised"


def name_values(
    keys: list[str], st_lpips: bool = False, clip_score: bool = False, recognised: bool = False
) -> list[str]:
    """Name the arrays of an evaluation's values per sample, such as "psnr_crf_2".

    A reference has no error to itself, but it has all other values.

    Args:
        keys: Keys of the methods.
        st_lpips: Whether ST-LPIPS is measured.
        clip_score: Whether the CLIP score is measured.
        recognised: Whether the teacher's own caption test is run.
    """
    errors = [LATENT_MSE, PSNR, FEATURE_DISTANCE, *([ST_LPIPS] if st_lpips else [])]
    names = [f"{error}_{key}" for key in keys if key != REFERENCE for error in errors]
    if CONVERGED in keys:
        names += [f"{CONVERGED_MSE}_{key}" for key in keys if key != CONVERGED]
    names += [f"{CLIP_SCORE}_{key}" for key in keys if clip_score]
    return names + [f"{RECOGNISED}_{key}" for key in keys if recognised]
