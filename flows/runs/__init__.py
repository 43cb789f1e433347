"""What runs of stages in Prefect share: which errors are followed by another attempt, and where the log is."""
