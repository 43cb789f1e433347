"""The parameters of every stage, for Prefect forms, YAML files and the command line alike.

``...Options`` say how a stage works; ``...Parameters`` add where its inputs are and where its output goes.
"""
