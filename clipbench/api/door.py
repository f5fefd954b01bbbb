"""The one door to plugins: what they raise becomes an error that names them, and what they return is checked."""

import numbers
import signal
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Union, get_args, get_origin

from clipbench.errors import ClipbenchError, PluginError


@contextmanager
def plugin_call(what: str, *allowed: type[Exception]) -> Iterator[None]:
    """Raise PluginError, which begins with ``what``, for whatever a plugin may not raise in the block: SystemExit too.

    It may raise errors of clipbench, those of the system (OSError), and what is ``allowed``.
    """
    passing: tuple[type[Exception], ...] = (ClipbenchError, OSError, *allowed)
    try:
        yield
    except passing:
        raise
    except BaseException as error:
        # Ctrl-C comes as KeyboardInterrupt only where nobody has asked for signals otherwise.
        if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            raise
        raise PluginError(f"{what} raised {type(error).__name__}: {error}") from error


def check_returned(what: str, value: object, hint: Any) -> None:  # noqa: ANN401
    """Raise PluginError, which begins with ``what``, for a value that is not of the type ``hint``."""
    if not conforms(value, hint):
        text = repr(value)
        shown = text if len(text) <= 80 else text[:77] + "..."
        plain = isinstance(hint, type) and not get_args(hint)
        expected = hint.__name__ if plain else str(hint).replace("clipbench.api.data.", "").replace("typing.", "")
        lacking = ", ".join(name for name in _members(hint) if value is not None and not hasattr(value, name))
        raise PluginError(f"{what} is {shown}; expected {expected}{lacking and f', which has {lacking}'}")


def conforms(value: Any, hint: Any) -> bool:  # noqa: ANN401
    """Return whether ``value`` is of the type ``hint``: one text is no list of texts, True no number.

    A tuple counts as a list, an integer as a float, and an object with all members of a protocol as one of it.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(conforms(value, one) for one in arguments)
    if origin is Literal:
        return value in arguments
    if isinstance(origin, type):
        return _container_conforms(value, origin, arguments)
    if hint in (int, float):
        kind = numbers.Integral if hint is int else numbers.Real
        return isinstance(value, kind) and not isinstance(value, bool)
    if _members(hint):
        return all(hasattr(value, name) for name in _members(hint))
    return value is None if hint in (None, types.NoneType) else isinstance(value, hint)


def _members(hint: Any) -> list[str]:  # noqa: ANN401
    """Return the members of a protocol; none for any other type."""
    return [name for name in vars(hint) if name[0] != "_"] if getattr(hint, "_is_protocol", False) else []


def _container_conforms(value: Any, origin: type, arguments: tuple[Any, ...]) -> bool:  # noqa: ANN401
    if issubclass(origin, Mapping):
        key, inner = arguments
        return isinstance(value, Mapping) and all(conforms(k, key) and conforms(v, inner) for k, v in value.items())
    if not issubclass(origin, Sequence):
        return isinstance(value, origin)
    if not isinstance(value, (list, tuple)):
        return False
    if origin is tuple and Ellipsis not in arguments:
        return len(value) == len(arguments) and all(map(conforms, value, arguments))
    return all(conforms(item, arguments[0]) for item in value)
