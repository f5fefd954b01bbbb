"""Discovery: a broken plugin is left out and named, a clash is an error that names both sides."""

import importlib
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipbench.api import CLIP_TINY, DatasetSpec, DeviceSpec, EngineSpec, ModelSpec, TokenizerSpec, hookimpl
from clipbench.api.registry import load_object, load_registry
from clipbench.errors import PluginError, UsageError


class FoundPoint:
    """What discovery gives for one entry point, as far as the registry uses it."""

    def __init__(self, name, value, distribution):
        self.name, self.value = name, value
        self.dist = type("Distribution", (), {"name": distribution, "version": "1.0"})

    def load(self):
        return importlib.import_module(self.value)


@pytest.fixture
def plugin(monkeypatch):
    """Make an importable plugin module out of functions, and the entry point that finds it."""

    def make(name, distribution="some-dist", **hooks):
        module = types.ModuleType(name)
        for hook, function in hooks.items():
            setattr(module, hook, hookimpl(function))
        monkeypatch.setitem(sys.modules, name, module)
        return FoundPoint(name, name, distribution)

    return make


def dataset(name):
    return lambda: [DatasetSpec(name, "a dataset", "nowhere:Nothing")]


def test_offers_are_collected_without_loading_them(plugin):
    registry = load_registry([plugin("one", clipbench_datasets=dataset("alpha"))])
    assert [spec.name for spec in registry.datasets.specs] == ["alpha"]
    assert not registry.broken
    with pytest.raises(ModuleNotFoundError):
        load_object(registry.datasets.get("alpha", "dataset.name").load)


def test_a_model_brings_its_own_tokenizer(plugin):
    """Called with the vocabulary file and the context length; what it does wrong is told under its name."""

    class Words:
        vocab_size, truncated = 9, 0

        def __init__(self, vocabulary, context_length):
            self.vocabulary, self.context_length = vocabulary, context_length
            if vocabulary.name == "bad":
                raise KeyError("bad")

        def encode(self, texts):
            return np.ones((len(texts), self.context_length), np.int32) if texts else [1]

        def unknown_share(self):
            return 0.5

    config = replace(CLIP_TINY, tokenizer=TokenizerSpec("words:Words", "list of words", "one word on each line"))
    model = ModelSpec("worded", "any", "", config, "nowhere:Nothing")
    registry = load_registry([plugin("words", clipbench_models=lambda: [model])])
    sys.modules["words"].Words = Words
    tokenizer = registry.open_tokenizer(model, config, Path("good"))
    assert tokenizer.encode(["a", "b"]).shape == (2, config.context_length) and tokenizer.unknown_share() == 0.5
    who = r"model 'worded' of plugin 'words' of some-dist 1.0: words:Words"
    with pytest.raises(PluginError, match=who + r": what encode\(\) returned is \[1\]"):
        tokenizer.encode([])
    with pytest.raises(PluginError, match=who + r" raised KeyError: 'bad'"):
        registry.open_tokenizer(model, config, Path("bad"))


def test_a_plugin_that_fails_to_import_is_named_and_the_rest_work(plugin):
    registry = load_registry(
        [
            FoundPoint("broken", "no_such_module_of_anyone", "bad-dist"),
            plugin("fine", clipbench_datasets=dataset("alpha")),
        ]
    )
    assert [spec.name for spec in registry.datasets.specs] == ["alpha"]
    (broken,) = registry.broken
    assert "broken" in str(broken) and "bad-dist" in str(broken)
    assert "no_such_module_of_anyone" in broken.problem


def test_a_plugin_with_a_spec_hook_that_raises_is_left_out(plugin):
    def explode():
        raise RuntimeError("boom")

    registry = load_registry(
        [
            plugin("bad", clipbench_datasets=dataset("beta"), clipbench_models=explode),
            plugin("fine", clipbench_datasets=dataset("alpha")),
        ]
    )
    assert [spec.name for spec in registry.datasets.specs] == ["alpha"]
    assert [broken.name for broken in registry.broken] == ["bad"]
    assert "boom" in registry.broken[0].problem


def test_a_hook_that_returns_something_else_is_a_problem_of_its_plugin(plugin):
    registry = load_registry([plugin("odd", clipbench_datasets=lambda: ["alpha"])])
    assert "DatasetSpec" in registry.broken[0].problem


def test_a_misspelt_hook_is_a_problem_with_the_nearest_name(plugin):
    registry = load_registry([plugin("typo", clipbench_dataset=dataset("alpha"))])
    assert "did you mean 'clipbench_datasets'?" in registry.broken[0].problem


def test_a_hook_with_unknown_arguments_is_a_problem(plugin):
    registry = load_registry([plugin("args", clipbench_environment=lambda weather: {})])
    assert "weather" in registry.broken[0].problem


def test_what_plugins_add_to_the_environment_without_those_that_break(plugin):
    def explode():
        raise SystemExit(0)

    points = [
        plugin("a", clipbench_environment=lambda: {"rack": 7}),
        plugin("b", clipbench_environment=explode),
        plugin("c", clipbench_environment=lambda: {"room": "B12"}),
        plugin("d", clipbench_environment=lambda: None),
        plugin("e", clipbench_environment=lambda: {"rooms": {"a set"}}),
    ]
    warnings = []
    assert load_registry(points).environment(warnings.append) == {"rack": 7, "room": "B12"}
    raised, returned, unfit = sorted(warnings)
    assert raised == "plugin some-dist:b: clipbench_environment raised SystemExit: 0; it is left out"
    assert "d: clipbench_environment: what it returned is None; expected" in returned
    assert "e: clipbench_environment raised TypeError" in unfit


def test_one_name_from_two_plugins_names_both_distributions(plugin):
    points = [
        plugin("one", "first-dist", clipbench_datasets=dataset("alpha")),
        plugin("two", "second-dist", clipbench_datasets=dataset("alpha")),
    ]
    with pytest.raises(UsageError, match=r"(?s)alpha.*first-dist.*second-dist"):
        load_registry(points)


def test_an_unknown_name_gets_the_nearest_one(plugin):
    registry = load_registry([plugin("one", clipbench_datasets=dataset("flickr8k"))])
    with pytest.raises(UsageError, match=r"dataset\.name: 'flikr8k'.*did you mean 'flickr8k'"):
        registry.datasets.get("flikr8k", "dataset.name")


def test_auto_prefers_the_highest_priority_of_the_engine(plugin):
    def devices():
        return [
            DeviceSpec("cpu", "torch", "", "x:y", priority=10),
            DeviceSpec("sdaa", "torch", "", "x:y", priority=30),
            DeviceSpec("tpu", "jax", "", "x:y", priority=99),
        ]

    registry = load_registry(
        [plugin("d", clipbench_devices=devices, clipbench_engines=lambda: [EngineSpec("torch", "", "x:y")])]
    )
    assert [spec.name for spec in registry.devices_of("torch")] == ["sdaa", "cpu"]
    assert registry.trusted_device("torch") is None


def test_built_in_plugins_come_by_the_same_door():
    registry = load_registry()
    assert not registry.broken
    assert {"torch", "jax"} <= {spec.name for spec in registry.engines.specs}
    assert {"flickr8k", "shapes"} <= {spec.name for spec in registry.datasets.specs}
    order = [spec.name for spec in registry.devices_of("torch")]
    assert order.index("sdaa") < order.index("cuda") < order.index("xpu") < order.index("cpu") == len(order) - 1
    assert registry.trusted_device("torch").name == "cpu"
    assert [spec.name for spec in registry.devices_of("jax")] == ["tpu", "gpu", "cpu"]
    for engine in ("torch", "jax"):
        for model in ("clip-vit-b16", "clip-vit-b32", "clip-vit-l14", "clip-vit-l14-336", "clip-tiny"):
            assert registry.models.get(model, "model.name", engine).engine == engine


def test_two_engines_may_have_a_device_of_one_name(plugin):
    def devices():
        return [
            DeviceSpec("cpu", "torch", "", "builtins:int"),
            DeviceSpec("cpu", "jax", "", "builtins:str"),
            DeviceSpec("pjrt", "jax", "a plug-in's", "builtins:str", argument="PLATFORM"),
        ]

    registry = load_registry([plugin("d", clipbench_devices=devices)])
    assert (
        registry.device("torch", "cpu").load == "builtins:int" and registry.device("jax", "cpu").load == "builtins:str"
    )
    assert registry.device("jax", "pjrt:xpu").name == "pjrt"
    assert [spec.name for spec in registry.devices_of("jax")] == ["cpu"]  # auto takes none that has to be named
    for name in ("pjrt", "pjrt:"):
        with pytest.raises(UsageError, match=rf"device: '{name}': expected pjrt:PLATFORM"):
            registry.device("jax", name)
    for name in ("cpu:1", "cpu:"):
        with pytest.raises(UsageError, match=f"device: '{name}': expected cpu"):
            registry.device("jax", name)
    with pytest.raises(UsageError, match="device: 'pjrt' belongs to engine 'jax', not to 'torch'"):
        registry.device("torch", "pjrt:xpu")
    with pytest.raises(
        UsageError, match="device: 'cpu' belongs to engines 'jax' and 'torch'; choose one with --engine"
    ):
        registry.devices.get("cpu", "device")
