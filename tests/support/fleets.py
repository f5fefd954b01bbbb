"""Made results of a fleet: each of a run on a node, alike but for what a test changes."""

import math
import zlib
from dataclasses import replace

from clipbench.api.result import QueryRanks
from clipbench.results.measures.recall import recall_metrics
from clipbench.results.measures.trace import loss_digests, loss_trace
from tests.support.made_results import ENVIRONMENT, STEPS, agreeing, made_result
from tests.support.stored_results import stored

LOSSES = [1 / (step + 3) for step in range(STEPS)]


def run_on(host, run=0, machine=None, slower=0.0, started="2026-01-01T00:00:00Z", wrong_step=None, **environment):
    """A completed run on a node; ``wrong_step``, from 1, is the step of the last epoch whose loss has another bit."""
    result = made_result(
        f"{host}-{machine or 'm'}-{run}", slower=slower, draw=zlib.crc32(f"{host} {run}".encode()), noise=0.005
    )
    digests = [loss_digests(LOSSES)] * 2
    if wrong_step:
        losses = [math.nextafter(loss, 2) if step == wrong_step else loss for step, loss in enumerate(LOSSES, 1)]
        digests[1] = loss_digests(losses)
    epochs = tuple(replace(r, loss_digests=own) for r, own in zip(result.epochs, digests, strict=True))
    place = {"name": host, "machine": machine}
    ended = started.replace("T00:00", "T00:05")
    more = {"environment": {**ENVIRONMENT, "host": place, **environment}, "started": started, "ended": ended}
    return replace(result, epochs=epochs, loss_trace=loss_trace(epochs), **more)


def with_a_lost_query(result):
    """The same, with one query whose right answer is found later."""
    ranks = result.query_ranks
    other = QueryRanks(ranks.epoch, [9 if rank == 0 else rank for rank in ranks.text[:2]] + ranks.text[2:], ranks.image)
    other = replace(other, image_of_text=ranks.image_of_text)
    last = replace(result.epochs[-1], recall=recall_metrics(other.text, other.image))
    return agreeing(replace(result, query_ranks=other, epochs=(*result.epochs[:-1], last)))


def write_fleet(folder, *others, nodes=12, **changes):
    """Write a run on each of so many healthy nodes, and the ``others``."""
    for number in range(nodes):
        stored(run_on(f"node{number:02}", **changes), folder)
    for result in others:
        stored(result, folder)
    return str(folder)
