"""What plugins return, checked against the protocol."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

from clipbench.api import Device, Engine, Fingerprint, LearnerJob, Missing
from clipbench.api.door import conforms
from clipbench.api.guarded import check_split, guard, unguarded
from clipbench.errors import NotReadyError, PluginError

PICTURE = Image.new("RGB", (4, 4))


class Split:
    fingerprint, skipped = Fingerprint("val", 2, 2, "0" * 64), 0

    def __init__(self, count=2, texts=("a text",), picture=PICTURE, **members):
        self.count, self.texts, self.picture = count, texts, picture
        vars(self).update(members)

    def __len__(self):
        return self.count

    def captions(self, index):
        return self.texts

    def image(self, index):
        return self.picture


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"texts": "one text"}, "captions(0) is 'one text'; expected collections.abc.Sequence[str]"),
        ({"texts": [b"bytes"]}, "captions(0) is [b'bytes']"),
        ({"texts": []}, "captions(0) is empty; expected one or more texts"),
        ({"texts": None}, "captions(0) is None"),
        ({"picture": np.zeros((4, 4, 3))}, "expected Image"),
        ({"picture": None}, "image(0) is None; expected Image"),
        ({"count": 0}, "has no images"),
        ({"count": -1}, "raised ValueError"),
        ({"skipped": None}, "skipped is None; expected int"),
        ({"fingerprint": "abc"}, "fingerprint is 'abc'; expected Fingerprint"),
    ],
)
def test_a_split_that_breaks_the_protocol_is_named(members, said):
    check_split(Split(), "split val")
    with pytest.raises(PluginError) as caught:
        check_split(Split(**members), "split val")
    assert str(caught.value).startswith("split val") and said in str(caught.value)


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        ("a", Sequence[str], False),
        (["a"], Sequence[str], True),
        (("a",), list[str], True),
        ([1], Sequence[str], False),
        (True, int, False),
        (np.int64(3), int, True),
        (3, float | None, True),
        (None, float | None, True),
        ("3", float | None, False),
        ((1, 2), tuple[int, int], True),
        ((1, 2, 3), tuple[int, int], False),
        ((1, 2, 3), tuple[int, ...], True),
        ({"a": 1}, Mapping[str, Any], True),
        ({1: 1}, Mapping[str, Any], False),
        ([("a", 1)], Mapping[str, Any], False),
        ("float16", Literal["float16"], True),
        ("float8", Literal["float16"], False),
        (Missing("a", "b", "c"), Missing, True),
        (SimpleNamespace(name="x"), Engine, False),
    ],
)
def test_values_and_types(value, hint, expected):
    assert conforms(value, hint) is expected


def test_calls_go_through_the_door_and_other_plugins_get_the_object_itself():
    class Parts:
        name = "parts"

        def problem(self):
            raise SystemExit(0)

        def probe(self, device, precision):
            return [] if device is self else None

        def launcher(self, world_size, report):
            raise NotReadyError("no launcher here")

        def learner(self, job):
            assert job is None or job.device is self
            return "a text"

        def versions(self):
            return {"parts": 1.0}

    parts = Parts()
    engine, device = guard(parts, Engine, "engine 'parts'"), guard(parts, Device, "device 'parts'")
    job = LearnerJob(None, None, device, "float32", False, None, None, None, seed=0)
    assert device.name == "parts" and unguarded(device) is parts and unguarded(parts) is parts
    assert engine.probe(device, "float32") == []
    for call, said in (
        (engine.problem, "engine 'parts': problem() raised SystemExit: 0"),
        (lambda: engine.probe(None, "float32"), "what probe() returned is None; expected collections.abc.Sequence"),
        (lambda: engine.learner(job), "is 'a text'; expected Learner, which has train_step, drain_steps,"),
        (engine.versions, "what versions() returned is {'parts': 1.0}; expected"),
        (lambda: device.info(), "device 'parts': has no info, which its protocol (Device) has"),
    ):
        with pytest.raises(PluginError) as caught:
            call()
        assert said in str(caught.value)
    with pytest.raises(NotReadyError, match="no launcher here"):
        engine.launcher(2, None)
