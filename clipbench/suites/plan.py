"""A case resolved on this machine: files found or missing, steps, learning rates."""

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from clipbench.api import Case, Dataset, DatasetRequest, Missing, ModelSpec, Tokenizer, UsageError
from clipbench.api.registry import Registry
from clipbench.clip.config import OPENAI_VOCABULARY, ClipConfig
from clipbench.clip.openai_weights import FETCHED, archive_name, claims_to_be_published, published_warning
from clipbench.errors import PluginError
from clipbench.files.cache import cache_folder
from clipbench.files.hashing import sha256_of
from clipbench.suites.schedule import learning_rates
from clipbench.suites.weight_files import NAMES, cached_model, find_model_file, find_weight_file, hub_name


@dataclass(frozen=True)
class ModelPlan:
    """The model of a case, resolved against plugins and files; no framework is imported for it.

    ``root`` is the data root. ``weights`` is None for random weights, ``text_weights`` where the texts have no file of
    their own or it is not there; ``looked_for`` maps ``vocabulary``, ``weights`` and ``text_weights`` to the places
    searched.
    """

    case: Case
    model: ModelSpec
    config: ClipConfig
    root: Path
    vocabulary: Path
    weights: Path | None
    text_weights: Path | None
    looked_for: Mapping[str, tuple[str, ...]]
    missing: tuple[Missing, ...]

    @property
    def weight_files(self) -> str:
        """The files of weights, in words; empty where all are random."""
        return " and ".join(str(path) for path in (self.weights, self.text_weights) if path)


@dataclass(frozen=True)
class Plan(ModelPlan):
    """One case, resolved against plugins and files.

    Sizes and steps are None while the data is missing. ``learning_rates`` has one value for each epoch.
    """

    dataset: Dataset
    train_images: int | None
    val_images: int | None
    learning_rates: tuple[float, ...]
    warnings: tuple[str, ...] = ()

    @property
    def steps_per_epoch(self) -> int | None:
        """Steps of one epoch; None where nothing is trained or the data is missing."""
        if self.train_images is None or not self.case.train.epochs:
            return None
        return self.train_images // self.case.train.batch_size

    @property
    def steps(self) -> int | None:
        """Steps of the whole run, 0 where nothing is trained; None while the data is missing."""
        if self.steps_per_epoch is None:
            return None if self.case.train.epochs else 0
        whole = self.steps_per_epoch * self.case.train.epochs
        return whole if self.case.train.max_steps is None else min(whole, self.case.train.max_steps)


AnyPlan = TypeVar("AnyPlan", bound=ModelPlan)


def data_root(case: Case) -> Path:
    """Return the suite's root, else ``CLIPBENCH_DATA``, else ``./data``; absolute, so that messages are unambiguous."""
    return Path(case.dataset.root).expanduser().absolute() if case.dataset.root else default_root()


def default_root() -> Path:
    """Return ``CLIPBENCH_DATA``, else ``./data``; absolute."""
    return Path(os.environ.get("CLIPBENCH_DATA") or "data").expanduser().absolute()


def make_plan(case: Case, registry: Registry, checked: bool = False) -> Plan:
    """Return the plan of one case; ``missing`` lists what the machine lacks.

    ``checked`` tells the dataset that another process of the run has looked at every file already.
    Raises UsageError for what is wrong in the suite.
    """
    model = plan_model(case, registry)
    for name in case.eval.evaluations:
        registry.evaluations.get(name, "eval.evaluations")
    if case.numerics and not case.train.epochs:
        raise UsageError("numerics: it takes steps of training, but train.epochs is 0; leave it out: numerics=null")
    dataset = _open_dataset(case, registry, model.root, checked)
    missing = dataset.missing()
    train_images, val_images = (None, None) if missing else dataset.sizes()
    _check_sizes(case, train_images, val_images)
    _check_batch(case, train_images)
    train = case.train
    rates = learning_rates(train.schedule, lr=train.lr, batch_size=train.batch_size, epochs=train.epochs)
    return Plan(
        **{**vars(model), "missing": (*missing, *model.missing)},
        dataset=dataset,
        train_images=train_images,
        val_images=val_images,
        learning_rates=tuple(rates),
        warnings=() if checked or train_images is None else (*dataset.warnings(), *published_warnings(model.weights)),
    )


def plan_model(case: Case, registry: Registry) -> ModelPlan:
    """Return the plan of a case's model alone: all that encoding takes. ``missing`` lists what the machine lacks.

    Raises UsageError where engine, device and model do not belong together.
    """
    model, root = _choose_model(case, registry), data_root(case)
    vocabulary, weights, text_weights = (find(case, model, root) for find in _FINDERS)
    chosen: dict[str, Any] = {"text_activation": case.model.text_activation, "eval_resize": case.eval.resize}
    return ModelPlan(
        case=case,
        model=model,
        config=replace(model.config, **{name: value for name, value in chosen.items() if value}),
        root=root,
        vocabulary=vocabulary.path or Path(vocabulary.looked_in[0]),
        weights=weights.path,
        looked_for={
            "vocabulary": vocabulary.looked_in,
            "weights": weights.looked_in,
            "text_weights": text_weights.looked_in,
        },
        missing=(*vocabulary.missing, *weights.missing, *text_weights.missing),
        text_weights=text_weights.path,
    )


def open_tokenizer(plan: AnyPlan, registry: Registry) -> tuple[AnyPlan, Tokenizer]:
    """Return the plan with the vocabulary in its ``config`` as large as its file, and the model's tokenizer.

    Raises NotReadyError where the vocabulary cannot be used.
    """
    tokenizer = registry.open_tokenizer(plan.model, plan.config, plan.vocabulary)
    return replace(plan, config=replace(plan.config, vocab_size=tokenizer.vocab_size)), tokenizer


def _choose_model(case: Case, registry: Registry) -> ModelSpec:
    """Return the case's model; raise UsageError where engine, device and model do not belong together."""
    registry.engines.get(case.engine, "engine")
    if case.device != "auto":
        registry.device(case.engine, case.device)
    return registry.models.get(case.model.name, "model.name", case.engine)


def _open_dataset(case: Case, registry: Registry, root: Path, checked: bool) -> Dataset:
    request = DatasetRequest(
        root=root,
        # A run that only evaluates needs no training pairs.
        train=case.dataset.train if case.train.epochs else "",
        val=case.dataset.val,
        cache=cache_folder(),
        options=copy.deepcopy(case.dataset.options),  # the case's own are part of its identity
        on_bad_image=case.dataset.on_bad_image,
        checked=checked,
        trusted=bool(case.dataset.root or os.environ.get("CLIPBENCH_DATA")),
    )
    return registry.open_dataset(case.dataset.name, request)


def _check_sizes(case: Case, train_images: int | None, val_images: int | None) -> None:
    """Raise PluginError for a dataset without images; where nothing is trained, training images may be none."""
    if val_images is not None and (val_images < 1 or (case.train.epochs and not train_images)):
        raise PluginError(
            f"dataset '{case.dataset.name}': sizes() returned {train_images} training and {val_images} validation "
            "images; expected one or more"
        )


def _check_batch(case: Case, train_images: int | None) -> None:
    """Raise UsageError for a batch that the data cannot fill, or that ranks and micro-batches cannot share equally."""
    train, ranks = case.train, case.world_size
    if train_images is not None and train.epochs and train_images < train.batch_size:
        raise UsageError(f"train.batch_size: {train.batch_size} is more than the {train_images} training images")
    if train.batch_size % ranks:
        raise UsageError(
            f"world_size: a batch of {train.batch_size} cannot be shared by {ranks} ranks; "
            f"it can be shared by {_divisors(train.batch_size)}"
        )
    share = train.batch_size // ranks
    if share % train.accumulate:
        raise UsageError(
            f"train.accumulate: the {share} pairs of a rank cannot be split into {train.accumulate} micro-batches; "
            f"they can be split into {_divisors(share)}"
        )


def _divisors(number: int) -> str:
    return ", ".join(str(n) for n in range(1, number + 1) if number % n == 0)


@dataclass(frozen=True)
class _Located:
    """A file, or None, and where it was looked for; ``missing`` where the case needs it and it is not there."""

    path: Path | None
    looked_in: tuple[str, ...] = ()
    missing: tuple[Missing, ...] = ()


def _file(path: Path) -> Path | None:
    # os.path: a name that is too long for the file system is no file either, and no error.
    return path if os.path.isfile(path) else None  # noqa: PTH113


def _locate(
    names: Sequence[str],
    root: Path,
    what: str,
    source: str,
    required: bool = True,
    fetch: str = "",
    find: Callable[[Path], Path | None] = _file,
) -> _Located:
    """Find the first of ``names``, each in the data root and then in the working folder."""
    paths = [Path(name).expanduser() for name in names]
    # A dictionary: the data root may be the working folder.
    candidates = list(dict.fromkeys(place for path in paths for place in (root / path, path.absolute())))
    found = next((file for place in candidates if (file := find(place))), None)
    looked_in = tuple(map(str, candidates))
    missing = (Missing(what, " or ".join(looked_in), source, fetch),) if required and found is None else ()
    return _Located(found, looked_in, missing)


def _find_vocabulary(case: Case, model: ModelSpec, root: Path) -> _Located:
    name = case.model.vocabulary or model.config.vocabulary
    package, colon, inside = name.partition(":")
    if colon and case.model.vocabulary is None:  # a file of the plugin's own package
        path = Path(str(resources.files(package).joinpath(inside)))
        return _Located(path, (str(path),))
    tokenizer = model.config.tokenizer
    source = tokenizer.source
    if name == OPENAI_VOCABULARY:
        source = "take the file of that name from OpenAI's CLIP repository (folder clip/) and put it into the data root"
    names, (folder, _, file) = [name], name.rpartition("/")
    if hub_name(folder):
        names.append(str(cached_model(folder)))
        source = f"the file {file} of the model {folder} on the Hugging Face hub"
    find = partial(find_model_file, name=file)
    return _locate(names, root, f"{tokenizer.file} {name}", source, fetch=FETCHED.get(name, ""), find=find)


def _find_text_weights(case: Case, model: ModelSpec, root: Path) -> _Located:
    """Find the weights of the text tower alone; raise UsageError for a model whose texts have none of their own."""
    name = case.model.text_weights
    if name is None:
        return _Located(None)
    if model.config.text_tower != "bert":
        raise UsageError(
            f"model.text_weights: '{name}': only a model with a BERT for its texts has a file for them; "
            f"the texts of {model.name} are in model.weights: leave it out"
        )
    source = (
        "weights of transformers' BertModel: a file, a folder with "
        f"{' or '.join(file for file in NAMES if 'open_clip' not in file)}, or ORG/NAME in the hub's local cache "
        "(`hf download ORG/NAME` puts it there); point at it with --set model.text_weights=PLACE"
    )
    names = [name, *([str(cached_model(hub))] if (hub := hub_name(name)) else [])]
    required = case.model.weights_missing == "error"
    return _locate(
        names, root, f"weights {name} for the texts of {model.name}", source, required, find=find_weight_file
    )


def _find_weights(case: Case, model: ModelSpec, root: Path) -> _Located:
    name = case.model.weights
    if name is None:
        return _Located(None)
    source = (
        "OpenAI's archive, a state dict (.pth, .pt, .bin, .safetensors), a folder of transformers or open_clip with "
        f"{' or '.join(NAMES)}, or ORG/NAME in the hub's local cache; point at it with --set model.weights=PLACE"
    )
    required = case.model.weights_missing == "error"
    archive = archive_name(name)  # the file that clipbench fetch gets
    names = [name, str(Path(name).with_name(archive))] if archive else [name]
    if hub := hub_name(name):
        names.append(str(cached_model(hub)))
    fetch = FETCHED.get(archive or "", "")
    return _locate(names, root, f"weights {name} for {case.model.name}", source, required, fetch, find_weight_file)


_FINDERS = (_find_vocabulary, _find_weights, _find_text_weights)


def published_warnings(weights: Path | None) -> tuple[str, ...]:
    """Return a warning for weights that are called like published ones and are others."""
    # Hashed only where the name makes a claim: it takes a second.
    if weights is None or not claims_to_be_published(weights.name):
        return ()
    warning = published_warning(weights.name, sha256_of(weights))
    return (warning,) if warning else ()
