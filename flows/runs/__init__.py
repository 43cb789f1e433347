"""How Prefect runs a stage: which errors are followed by another attempt."""
