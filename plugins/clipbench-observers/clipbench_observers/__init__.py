"""Observers for clipbench: ``tensorboard``, ``jsonl`` and ``tcap``, Tecorigin's training log.

Hooks only: what they write with is imported when a case is observed, not when plugins are listed.
"""

from __future__ import annotations

from clipbench.api import ObserverSpec, hookimpl


@hookimpl
def clipbench_observers() -> list[ObserverSpec]:
    return [
        ObserverSpec(
            "tensorboard",
            "TensorBoard event files",
            "clipbench_observers.tensorboard:TensorBoard",
            install="pip install 'clipbench[tensorboard]'",
        ),
        ObserverSpec("jsonl", "a log of JSON lines, events.jsonl", "clipbench_observers.jsonl:JsonLines"),
        ObserverSpec("tcap", "TCAPPDLL lines of Tecorigin's tooling, tcap.log", "clipbench_observers.tcap:TcapLog"),
    ]
