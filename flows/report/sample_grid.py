"""Publish a store's first images in the Prefect UI, so that a wrong teacher or wrong images are seen at a glance."""

import io
import logging

import numpy as np

from flows.parameters.running import Resources
from flows.ray_session import ray_session
from flows.report.artifacts import publish_picture
from flows.runs.deployments import is_of_deployment
from storage import LatentStore
from storage.model_files.folders import local_folder

ROWS, COLUMNS = 3, 4
SECONDS_TO_DRAW = 600  # a node may have to come first; beyond that the stage goes on without a picture


def publish_grid(stage: str, store: LatentStore, array: str, teacher: str, resources: Resources) -> None:
    """Publish the images of a store's first valid rows, in a run of a deployment. A picture is not worth a stage.

    Args:
        stage: Name of the stage.
        store: The store, of which every shard is committed.
        array: Name of an array of latents.
        teacher: URL of the teacher, which decodes them on a worker of the Ray cluster.
        resources: What the worker may use.
    """
    if not is_of_deployment():
        return
    import ray

    from flows.shards.actors import Actors

    try:
        with ray_session():
            actors = Actors.choose(resources, ray.cluster_resources())
            task = ray.remote(num_cpus=1, num_gpus=actors.gpus, label_selector=actors.labels)(draw_grid)
            drawn = task.remote(store.url, array, teacher, actors.device)
            publish_picture(ray.get(drawn, timeout=SECONDS_TO_DRAW), f"{stage}-samples")
    except Exception as error:
        logging.getLogger("latentcrf").warning("%s-samples is not in the Prefect UI: %r", stage, error)


def draw_grid(url: str, array: str, teacher: str, device: str) -> bytes:
    """Draw the images of the first valid rows of a store's first shard as a PNG, the rest of the grid in black."""
    import torch
    from diffusers.utils.pil_utils import make_image_grid
    from PIL import Image

    from crf.teacher.teacher import Teacher, to_images

    arrays = LatentStore.open(url, allow_unsealed=True).shard(0)
    rows = np.flatnonzero(arrays["valid"])[: ROWS * COLUMNS]
    latents_BCHW = torch.from_numpy(arrays[array][rows]).permute(0, 3, 1, 2).float()
    decoder = Teacher.load(local_folder(teacher), device)
    images = [
        image for z_1CHW in latents_BCHW.chunk(len(rows)) for image in to_images(decoder.decode(z_1CHW.to(device)))
    ]
    black = Image.new("RGB", images[0].size)
    images += [black] * (ROWS * COLUMNS - len(images))
    png = io.BytesIO()
    make_image_grid(images, ROWS, COLUMNS).save(png, "PNG")
    return png.getvalue()
