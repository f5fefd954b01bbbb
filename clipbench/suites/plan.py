"""What a case comes to on this machine: files found or missing, steps, learning rates."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, cast

from clipbench.api import Dataset, DatasetRequest, Missing, ModelSpec
from clipbench.api.registry import Registry, load_object
from clipbench.clip.config import OPENAI_VOCABULARY, Activation, ClipConfig, Resize
from clipbench.clip.openai_weights import PUBLISHED, published_warning
from clipbench.errors import UsageError
from clipbench.files.hashing import sha256_of
from clipbench.suites.loading import Case
from clipbench.suites.schedule import learning_rates

DATA_VARIABLE = "CLIPBENCH_DATA"
CACHE_VARIABLE = "CLIPBENCH_CACHE"


@dataclass(frozen=True)
class Plan:
    """One case, resolved against plugins and files; nothing in it has imported a framework.

    ``weights`` is None for random weights; ``looked_for`` maps each thing to the places it is looked for in.
    Sizes and steps are None while the data is missing. ``learning_rates`` has one value for each epoch.
    """

    case: Case
    model: ModelSpec
    config: ClipConfig
    dataset: Dataset
    root: Path
    vocabulary: Path
    weights: Path | None
    looked_for: dict[str, tuple[str, ...]]
    missing: tuple[Missing, ...]
    train_images: int | None
    val_images: int | None
    learning_rates: tuple[float, ...]
    warnings: tuple[str, ...] = ()

    @property
    def steps_per_epoch(self) -> int | None:
        if self.train_images is None or not self.case.train.epochs:
            return None
        return self.train_images // self.case.train.batch_size

    @property
    def steps(self) -> int | None:
        """Steps of the whole run."""
        if self.steps_per_epoch is None:
            return None if self.case.train.epochs else 0
        whole = self.steps_per_epoch * self.case.train.epochs
        return whole if self.case.train.max_steps is None else min(whole, self.case.train.max_steps)


def data_root(case: Case) -> Path:
    """The suite's root, else ``CLIPBENCH_DATA``, else ``./data``; absolute, so that messages leave no doubt."""
    return Path(case.dataset.root or os.environ.get(DATA_VARIABLE) or "data").expanduser().absolute()


def cache_folder() -> Path:
    """Where generated data is kept: ``CLIPBENCH_CACHE``, else ``clipbench`` in the user's cache."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "clipbench"


def make_plan(case: Case, registry: Registry, checked: bool = False) -> Plan:
    """Resolve one case. What the suite has wrong is a UsageError; what the machine lacks is listed in ``missing``.

    ``checked`` spares the dataset looking at every file, where another process of the run has done so.
    """
    registry.engines.get(case.engine, "engine")
    if case.device != "auto":
        device = registry.devices.get(case.device, "device")
        if device.engine != case.engine:
            raise UsageError(f"device: '{case.device}' belongs to engine '{device.engine}', not to '{case.engine}'")
    model = registry.models.get(case.model.name, "model.name")
    if model.engine != case.engine:
        raise UsageError(f"model.name: '{case.model.name}' belongs to engine '{model.engine}', not to '{case.engine}'")
    root = data_root(case)
    missing: list[Missing] = []
    looked_for: dict[str, tuple[str, ...]] = {}
    dataset, sizes = _dataset(case, registry, root, missing, checked)
    vocabulary, looked_for["vocabulary"] = _vocabulary(case, model, root, missing)
    weights, looked_for["weights"] = _weights(case, root, missing)
    train_images, val_images = sizes
    if train_images is not None and case.train.epochs and train_images < case.train.batch_size:
        raise UsageError(f"train.batch_size: {case.train.batch_size} is more than the {train_images} training images")
    if case.train.batch_size % case.ranks:
        fitting = [n for n in range(1, case.train.batch_size + 1) if case.train.batch_size % n == 0]
        raise UsageError(
            f"ranks: a batch of {case.train.batch_size} cannot be shared by {case.ranks} ranks; "
            f"it can by {', '.join(map(str, fitting))}"
        )
    share = case.train.batch_size // case.ranks
    if share % case.train.accumulate:
        fitting = [n for n in range(1, share + 1) if share % n == 0]
        raise UsageError(
            f"train.accumulate: {share} pairs of a rank cannot be shared out to {case.train.accumulate} micro-batches; "
            f"they can to {', '.join(map(str, fitting))}"
        )
    return Plan(
        case=case,
        model=model,
        config=_config(case, model),
        dataset=dataset,
        root=root,
        vocabulary=vocabulary,
        weights=weights,
        looked_for=looked_for,
        missing=tuple(missing),
        train_images=train_images,
        val_images=val_images,
        learning_rates=tuple(
            learning_rates(
                case.train.schedule, lr=case.train.lr, batch_size=case.train.batch_size, epochs=case.train.epochs
            )
        ),
        warnings=() if checked or train_images is None else _warnings(dataset, weights),
    )


def _config(case: Case, model: ModelSpec) -> ClipConfig:
    config = model.config
    if case.model.text_activation:
        config = replace(config, text_activation=cast(Activation, case.model.text_activation))
    if case.eval.resize:
        config = replace(config, eval_resize=cast(Resize, case.eval.resize))
    return config


def _dataset(
    case: Case, registry: Registry, root: Path, missing: list[Missing], checked: bool
) -> tuple[Dataset, tuple[int | None, int | None]]:
    spec = registry.datasets.get(case.dataset.name, "dataset.name")
    request = DatasetRequest(
        root=root,
        # A run that only evaluates needs no training pairs.
        train=case.dataset.train if case.train.epochs else "",
        val=case.dataset.val,
        cache=cache_folder(),
        options=case.dataset.options,
        on_bad_image=case.dataset.on_bad_image,
        checked=checked,
    )
    dataset: Dataset = load_object(spec.load)(request)
    lacking = dataset.missing()
    missing.extend(lacking)
    return dataset, (None, None) if lacking else dataset.sizes()


def _candidates(name: str, root: Path) -> tuple[Path, ...]:
    path = Path(name).expanduser()
    return (path,) if path.is_absolute() else (root / path, path.absolute())


def _find(name: str, root: Path) -> Path | None:
    # os.path: a name that is too long for the file system is no file either, and no error.
    return next((path for path in _candidates(name, root) if os.path.isfile(path)), None)  # noqa: PTH113


def _vocabulary(case: Case, model: ModelSpec, root: Path, missing: list[Missing]) -> tuple[Path, tuple[str, ...]]:
    name = case.model.vocabulary or model.config.vocabulary
    package, colon, inside = name.partition(":")
    if colon and case.model.vocabulary is None:
        path = Path(str(resources.files(package).joinpath(inside)))
        return path, (str(path),)
    looked = tuple(map(str, _candidates(name, root)))
    found = _find(name, root)
    if found is None:
        source = "the file of that name in OpenAI's CLIP repository (clip/), to be put into the data root"
        if name != OPENAI_VOCABULARY:
            source = "a byte-level BPE vocabulary in the format of OpenAI's; see model.vocabulary"
        missing.append(Missing(f"BPE vocabulary {name}", " or ".join(looked), source))
    return found or Path(looked[0]), looked


def _weights(case: Case, root: Path, missing: list[Missing]) -> tuple[Path | None, tuple[str, ...]]:
    name = case.model.weights
    if name is None:
        return None, ()
    looked = tuple(map(str, _candidates(name, root)))
    found = _find(name, root)
    if found is None and case.model.weights_missing == "error":
        missing.append(
            Missing(
                f"weights {name} for {case.model.name}",
                " or ".join(looked),
                "a state dict under OpenAI's names (.pth, .pt, .safetensors) or OpenAI's own archive; "
                "point at it with --set model.weights=FILE",
            )
        )
    return found, looked


def _warnings(dataset: Dataset, weights: Path | None) -> tuple[str, ...]:
    """What should be known of the data and of weights that only look like published ones."""
    told = list(getattr(dataset, "warnings", list)())
    # Hashed here only where the name makes a claim: it takes a second.
    if weights is not None and weights.name in {file for _, file, _ in PUBLISHED}:
        told.append(published_warning(weights.name, sha256_of(weights)))
    return tuple(line for line in told if line)


def describe_plan(plan: Plan) -> dict[str, Any]:
    """The plan as plain data, for ``show`` and its JSON."""
    return {
        "case": plan.case.name,
        "config": plan.case.to_dict(),
        "config_sha256": plan.case.sha256(),
        "data_root": str(plan.root),
        "cache": str(cache_folder()),
        "looked_for": {name: list(places) for name, places in plan.looked_for.items()},
        "found": {
            "vocabulary": plan.vocabulary.is_file(),
            "weights": None if plan.weights is None else str(plan.weights),
        },
        "missing": [vars(item) for item in plan.missing],
        "warnings": list(plan.warnings),
        "train_images": plan.train_images,
        "val_images": plan.val_images,
        "steps_per_epoch": plan.steps_per_epoch,
        "steps": plan.steps,
        "learning_rate": list(plan.learning_rates),
    }
