"""Names of the arrays that stages store and that later stages read."""

LATENTS, TEXT, TRUNCATED = "latents", "text", "truncated"
STEP_40, STEP_50, X0_40 = "step_40", "step_50", "x0_40"
LEAD_STATE, LEAD_X0, TAIL_STATE = "lead_state", "lead_x0", "tail_state"
TRAJECTORY_STATE, TRAJECTORY_X0, TRAJECTORY_PRODUCTS = "trajectory_state", "trajectory_x0", "trajectory_products"
LATENT_MSE, CONVERGED_MSE = "latent_mse", "converged_mse"
