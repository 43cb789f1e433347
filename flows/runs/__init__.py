"""What runs in Prefect share: their names, which errors are tried again, the limit on GPUs, and the log."""
