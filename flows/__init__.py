"""The orchestration: wires crf and storage together under Prefect and Ray."""
