"""Run a stage whose outputs go to a bucket, from Python, then read the store that it made.

    python examples/bucket_root.py deploy/demo/teacher captions.txt gs://BUCKET/latents --limit 64

Any fsspec URL will do: gs://, s3:// (pip install 'latentcrf[s3]'), or a local folder. Run it again after an
interruption; a finished store is not computed again. `latentcrf teach` is the same, reported to Prefect.
"""

import cyclopts

from flows.parameters.latents import TeachParameters
from flows.stage import plan_stage, run_stage
from flows.teach import TEACH
from storage import LatentStore


def main(
    teacher: str,
    captions: str,
    root: str,
    *,
    limit: int | None = None,
    shard_rows: int = 512,
    guidance_scale: float = 7.5,
) -> None:
    params = TeachParameters(
        teacher=teacher,
        captions=captions,
        root=root,
        limit=limit,
        shard_rows=shard_rows,
        guidance_scale=guidance_scale,
    )
    plan = plan_stage(TEACH, params, root)
    print(f"plan: {plan.state}, {plan.done} of {plan.total} shards; {plan.reason}")
    result = run_stage(TEACH, params, root)
    store = LatentStore.open(result.url)
    print(f"{result.state}: {result.url}, {len(store)} rows, {int(store.valid.sum())} valid")
    print(f"the first trajectory ends at {store.sample(0)['step_50'].shape} latents of {store.sample(0)['caption']!r}")


if __name__ == "__main__":
    cyclopts.run(main)
