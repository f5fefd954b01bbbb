"""Objects of plugins behind the door: every call of them goes through it."""

import functools
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any, TypeVar, cast

from clipbench.api import protocols
from clipbench.api.data import Classes, Fingerprint, LearnerJob
from clipbench.api.door import check_returned, plugin_call
from clipbench.errors import PluginError

T = TypeVar("T")

FIRST_ITEMS = 8


def guard(plugin: object, protocol: type, who: str) -> Any:  # noqa: ANN401
    """Return ``plugin``, an object of ``protocol``, behind the door; ``who`` it is in messages."""
    return _Guarded(plugin, protocol, who)


def unguarded(plugin: T) -> T:
    """Return what a plugin has made itself, for other objects of plugins, which know more of it than the protocol.

    A job for a learner names its device so.
    """
    if isinstance(plugin, LearnerJob):
        return cast(T, replace(plugin, device=unguarded(plugin.device)))
    return cast(T, plugin._plugin) if isinstance(plugin, _Guarded) else plugin


def check_split(split: protocols.Split, who: str) -> None:
    """Raise PluginError where a split, or one of its first items, is not what the protocol says."""
    from PIL.Image import Image

    with plugin_call(f"{who}: its length, captions and images"):
        count = len(split)
        captions = [split.captions(index) for index in range(min(count, FIRST_ITEMS))]
        image = split.image(0) if count else None
        fingerprint, skipped = split.fingerprint, split.skipped
    if count < 1:
        raise PluginError(f"{who}: has no images; expected one or more")
    for index, texts in enumerate(captions):
        check_returned(f"{who}: captions({index})", texts, Sequence[str])
        if not texts and not hasattr(split, "classes"):
            raise PluginError(f"{who}: captions({index}) is empty; expected one or more texts")
    check_returned(f"{who}: image(0)", image, Image)
    check_returned(f"{who}: fingerprint", fingerprint, Fingerprint)
    check_returned(f"{who}: skipped", skipped, int)


def classes_of(split: protocols.Split, who: str) -> Classes | None:
    """Return the classes of a split, None where it has none; raise PluginError where they do not fit its images."""
    if not hasattr(split, "classes"):
        return None
    with plugin_call(f"{who}: classes()"):
        classes, count = split.classes(), len(split)
    check_returned(f"{who}: what classes() returned", classes, Classes)
    assert isinstance(classes, Classes)
    check_returned(f"{who}: names of classes", classes.names, Sequence[str])
    check_returned(f"{who}: templates of classes", classes.templates, Sequence[str])
    if len(classes.labels) != count:
        raise PluginError(f"{who}: has {len(classes.labels)} labels for {count} images; expected one for each")
    if wrong := [label for label in classes.labels if label not in range(len(classes.names))]:
        raise PluginError(f"{who}: a label is {wrong[0]!r}; expected 0 to {len(classes.names) - 1}")
    if not classes.templates or (odd := [text for text in classes.templates if text.count("{}") != 1]):
        raise PluginError(f"{who}: templates are {odd or 'none'}; expected texts with one {{}} each")
    return classes


class _Guarded:
    def __init__(self, plugin: object, protocol: type, who: str) -> None:
        self._plugin, self._protocol, self._who = plugin, protocol, who

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        if name.startswith("_"):
            raise AttributeError(name)
        if not hasattr(self._plugin, name):
            raise PluginError(f"{self._who}: has no {name}, which its protocol ({self._protocol.__name__}) has")
        found = getattr(self._plugin, name)
        return functools.partial(self._call, name, found) if callable(found) else found

    def _call(self, name: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        with plugin_call(f"{self._who}: {name}()"):
            returned = function(*map(unguarded, arguments), **named)
            hint = _returns(self._protocol).get(name)
            if hint is not None:  # what a method returns that should return nothing harms nobody
                check_returned(f"{self._who}: what {name}() returned", returned, hint)
        return returned


@functools.cache
def _returns(protocol: type) -> Mapping[str, Any]:
    """Return the type that each method of a protocol returns; None where it returns nothing."""
    functions = {name: value for name, value in vars(protocol).items() if isinstance(value, types.FunctionType)}
    return {name: _evaluated(function.__annotations__.get("return")) for name, function in functions.items()}


def _evaluated(hint: Any) -> Any:  # noqa: ANN401
    # The annotations of protocols.py are texts.
    if not isinstance(hint, str):
        return hint
    # Imported for type checkers only there.
    return eval(hint, {**vars(protocols), "np": import_module("numpy")} if "np." in hint else vars(protocols))
