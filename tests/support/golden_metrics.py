"""Write the metrics of tests.support.feature_sets by torch-fidelity and clean-fid, as JSON to standard output.

Both want torchvision, which breaks other libraries in the project's environment. So run this in one of its own:

    python -m venv golden
    golden/bin/pip install torch==2.13.0 torchvision==0.28.0 torch-fidelity==0.4.0 clean-fid==0.1.35 scipy==1.17.1
    golden/bin/python -m tests.support.golden_metrics > tests/crf/metrics/golden.json
"""

import json
import sys
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from tests.support.feature_sets import SETS, Pair

# This torchvision is built for CUDA: without these declarations it cannot be imported on a machine without.
OPERATORS = torch.library.Library("torchvision", "DEF")
OPERATORS.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
OPERATORS.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def measure(pair: Pair) -> dict[str, float]:
    """Compute all metrics of one pair; KID of equally many rows, which is all that torch-fidelity takes."""
    from cleanfid.fid import frechet_distance
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    features = [torch.from_numpy(x) for x in pair]
    statistics = [fid_features_to_statistics(x) for x in features]
    moments: list[Any] = [moment for x in pair for moment in (x.mean(0), np.cov(x.T))]
    fewest = min(len(x) for x in pair)
    found = {
        **fid_statistics_to_metric(*statistics, verbose=False),
        **kid_features_to_metric(*(x[:fewest] for x in features), kid_subsets=1, kid_subset_size=fewest, verbose=False),
        "clean_fid": float(frechet_distance(*moments)),
    }
    if fewest > 5:
        found |= prc_features_to_metric(*features, prc_neighborhood=5, verbose=False)
    return found


def main() -> None:
    versions = {name: version(name) for name in ("torch-fidelity", "clean-fid", "scipy", "numpy", "torch")}
    golden = {"versions": versions, "sets": {name: measure(pair) for name, pair in SETS.items()}}
    json.dump(golden, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
