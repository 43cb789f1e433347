"""What a CRF inside the trajectory is worth on the demo's teacher: the experiments of docs/research.md."""
