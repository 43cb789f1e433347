"""The bare loops that ``encode`` and ``teach`` are measured beside: a process per core, and nothing but the model."""

import multiprocessing
import time
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any

from crf.stages.micro_batches import MICRO_BATCH

processes = multiprocessing.get_context("spawn")


def measure_bare(stage: str, teacher: str, size: int, batches: int, cores: int) -> dict[str, float]:
    """Run a loop over micro-batches of 16 rows in each of ``cores`` processes at once.

    The rows are in memory and what is computed is dropped. What the processes' start takes is not counted.

    Returns:
        ``rows`` of all processes, the ``seconds`` of the slowest and the ``cpu_seconds`` of all.
    """
    together = processes.Barrier(cores)
    ends = [processes.Pipe(duplex=False) for _ in range(cores)]
    started = [
        processes.Process(target=run_loop, args=(stage, teacher, size, batches, together, sender)) for _, sender in ends
    ]
    for process in started:
        process.start()
    for _, sender in ends:
        sender.close()  # so that a loop that fails ends the wait for its times
    times = [receiver.recv() for receiver, _ in ends]
    for process in started:
        process.join()
    return {
        "rows": cores * batches * MICRO_BATCH,
        "seconds": max(seconds for seconds, _ in times),
        "cpu_seconds": sum(cpu for _, cpu in times),
    }


def run_loop(stage: str, teacher: str, size: int, batches: int, together: Barrier, sender: Connection) -> None:
    """Load the teacher, wait for the other processes, and send the seconds and CPU seconds of the loop."""
    import torch

    from crf.teacher.teacher import Teacher
    from tests.benchmarks.stages_gpu import encode_bare, make_batch, teach_bare

    torch.set_num_threads(1)
    loaded: Any = Teacher.load(teacher, "cpu", torch.float32)
    run = {"encode": encode_bare, "teach": teach_bare}[stage]
    batch = make_batch(MICRO_BATCH, size)
    run(loaded, batch)
    together.wait()
    begun, used = time.monotonic(), time.process_time()
    for _ in range(batches):
        run(loaded, batch)
    sender.send((time.monotonic() - begun, time.process_time() - used))
