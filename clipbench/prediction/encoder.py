"""A trained model on its device, opened as a run opens it, to encode pictures and texts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from clipbench.api import Case, Learner, Missing, NotReadyError, Tokenizer, World, events
from clipbench.api.registry import Registry
from clipbench.clip.captions import clean_caption
from clipbench.prediction.choosing import Chosen
from clipbench.prediction.pictures import PictureFetch, PictureSource, reason_of
from clipbench.runs.build import Rank, learner_job, open_device
from clipbench.runs.devices.choosing import choose_devices
from clipbench.runs.devices.opening import find_device
from clipbench.runs.fitting import unfitting, weights_checks
from clipbench.runs.job import Checks, Job
from clipbench.runs.reporter import Reporter
from clipbench.runs.runner import list_missing
from clipbench.suites.fetch_command import fetch_command
from clipbench.suites.plan import ModelPlan, open_tokenizer, plan_model, published_warnings
from clipbench.training.batches import worker_count
from clipbench.training.evaluating.encoding import FeatureEncoder
from clipbench.training.hardware import Hardware
from clipbench.training.stop import StopRequest

Tell = Callable[[events.Event], None]

# So few pictures are fetched sooner than a process is started.
FEW = 16


@dataclass(frozen=True)
class ModelUsed:
    """What computed: ``weights`` is a file, or the folder of a run's checkpoint."""

    name: str
    weights: str
    engine: str
    device: str
    device_name: str
    precision: str


@dataclass(frozen=True)
class Encoder:
    """Encodes pictures and texts as the case's evaluation does; ``used`` says what it is."""

    case: Case
    plan: ModelPlan
    hardware: Hardware
    learner: Learner
    tokenizer: Tokenizer
    reporter: Reporter
    used: ModelUsed

    def texts(self, texts: Sequence[str]) -> tuple[np.ndarray, int]:
        """Return the features of texts, float32 (n, d), and how many texts were cut to the model's context.

        They are cleaned where the case cleans its captions.
        """
        before = self.tokenizer.truncated
        cleaned = map(clean_caption, texts) if self.case.dataset.clean_captions else texts
        features = self._features.texts(self.learner, self.tokenizer.encode(list(cleaned)))
        assert features is not None  # there is one rank
        return features, self.tokenizer.truncated - before

    def pictures(self, source: PictureSource) -> tuple[np.ndarray, dict[int, str]]:
        """Return the features of pictures, float32 (n, d), and why some could not be read, by index.

        Features of such a picture mean nothing.
        """
        workers = worker_count(self.case.train.workers) if len(source) > FEW else 0
        loader = self.hardware.engine.loader(PictureFetch(source, self.plan.config), workers, self.hardware.device)
        reasons: list[str] = []

        def pixels(batches: Sequence[np.ndarray]) -> Iterator[Any]:
            for batch, why in loader.batches([batch.tolist() for batch in batches]):
                reasons.extend(map(reason_of, np.asarray(why)))
                yield batch

        try:
            features = self._features.images(self.learner, len(source), pixels)
        finally:
            loader.close()
        assert features is not None  # there is one rank
        return features, {index: why for index, why in enumerate(reasons) if why}

    @property
    def _features(self) -> FeatureEncoder:
        def tell(stage: Literal["images", "texts"], done: int, total: int) -> None:
            self.reporter.tell(stage, "", done, total)

        return FeatureEncoder(self.hardware, self.case.eval, tell)


@contextmanager
def open_encoder(chosen: Chosen, registry: Registry, tell: Tell) -> Iterator[Encoder]:
    """Open the chosen model in this process; ``tell`` gets an event for each thing that takes a while.

    Raises NotReadyError for all that is missing: device, vocabulary, weights that fit the model.
    """
    case, checkpoint = chosen.case, chosen.checkpoint
    plan = plan_model(case, registry)
    device = _device_of(plan, registry, tell)
    with ExitStack() as resources:
        folder = Path(os.devnull)  # nothing is written
        job = Job(folder, os.getpid(), Checks(()), case, device=device)
        reporter = Reporter(World(), tell)
        hardware = open_device(Rank(job, case, registry, reporter, StopRequest(folder / "stop"), resources))
        plan, tokenizer = open_tokenizer(plan, registry)
        weights = checkpoint.folder if checkpoint else plan.weights
        assert weights is not None  # random ones were refused
        reporter.tell("model", weights.name)
        tuning = hardware.section["tuning"]
        learner = hardware.engine.learner(learner_job(plan, hardware.device, hardware.precision, tuning))
        if checkpoint:
            learner.restore(checkpoint.state)
        names = (plan.model.name, str(weights), case.engine, hardware.device.name, hardware.info.name)
        yield Encoder(case, plan, hardware, learner, tokenizer, reporter, ModelUsed(*names, hardware.precision))


def _device_of(plan: ModelPlan, registry: Registry, tell: Tell) -> str:
    """Return the device to use; raise NotReadyError for all that the machine lacks."""
    tell(events.Progress("framework", plan.case.engine))
    choices = choose_devices(registry, [plan.case])
    missing = [*plan.missing, *choices.missing]
    if not choices.missing:
        choice = choices.of(plan.case)
        for warning in choice.warnings():
            tell(events.Notice(f"warning: {warning}"))
        found = find_device(registry, plan.case.engine, choice.device)
        missing += [choices.complete(found)] if isinstance(found, Missing) else []
    if not missing and plan.weights:
        tell(events.Progress("weights"))
        for warning in published_warnings(plan.weights):
            tell(events.Notice(f"warning: {warning}"))
        missing += filter(None, (unfitting(registry, check) for check in weights_checks([plan])))
    if missing:
        raise NotReadyError(list_missing(missing, fetch_command([plan])))
    return choice.device
