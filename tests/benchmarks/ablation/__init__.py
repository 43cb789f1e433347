"""Which parts of the CRF earn their place, against every control of equal or lower cost.

python -m tests.benchmarks.ablation --help
"""
