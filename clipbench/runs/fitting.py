"""Whether weights fit the models of cases, before anything is trained."""

from collections.abc import Iterable
from dataclasses import replace

from clipbench.api import Missing, NotReadyError
from clipbench.api.registry import Registry
from clipbench.runs.job import WeightsCheck
from clipbench.suites.plan import ModelPlan


def weights_checks(plans: Iterable[ModelPlan]) -> tuple[WeightsCheck, ...]:
    """Return what there is to check in ``plans``, each pair of weights and model once; what is missing is left out."""
    return tuple(
        dict.fromkeys(
            WeightsCheck(
                plan.case.engine, plan.model.name, plan.config, plan.weights, plan.vocabulary, plan.text_weights
            )
            for plan in plans
            if plan.weight_files and plan.vocabulary.is_file()
        )
    )


def unfitting(registry: Registry, check: WeightsCheck) -> Missing | None:
    """Return weights that do not fit as Missing, which says why, else None; imports the framework.

    An engine that cannot be used says nothing: its own problem is reported with its devices.
    """
    engine = registry.open_engine(check.engine)
    if engine.problem():
        return None
    try:
        model = registry.models.get(check.model, "model.name", check.engine)
        vocab_size = registry.open_tokenizer(model, check.config, check.vocabulary).vocab_size
        config = replace(check.config, vocab_size=vocab_size)
        of_texts = () if check.text_weights is None else (check.text_weights,)
        engine.check_weights(model, config, check.weights, *of_texts)
    except NotReadyError as error:
        return Missing(f"weights that fit model {check.model}", check.files, str(error))
    return None
