"""What both training stages share: run the steps, keep the losses, save the CRF, seal."""

from collections.abc import Iterator

from crf.device import default_device
from crf.model import LatentCRF
from crf.training import Batch, Optimization, fit
from flows.checkpoints import save_crf
from flows.progress import Progress
from flows.stage import Work, provenance
from storage import locations


def optimize(
    crf: LatentCRF, batches: Iterator[Batch], optimization: Optimization, work: Work, progress: Progress
) -> None:
    """Writes the CRF, losses.json (one record a step) and, last, manifest.json."""
    losses = []
    for record in fit(crf.to(default_device()), batches, optimization):
        losses.append(record)
        progress.advance(mse=record["mse"])
    save_crf(crf, work.url)
    locations.write_json(locations.join(work.url, "losses.json"), losses)
    locations.write_json(locations.join(work.url, "manifest.json"), provenance(work, steps=len(losses)))
