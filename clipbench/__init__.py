"""clipbench: does this device train CLIP correctly, and how fast?

Python programs call ``run``, ``compare``, ``load_results``, ``predict`` and ``retrieve``: the functions of the commands
of these names. They return typed data, raise ``ClipbenchError`` for a person to read, and print nothing.
"""

__version__ = "0.2.0"

__all__ = ["ClipbenchError", "Results", "__version__", "compare", "load_results", "predict", "retrieve", "run"]

TYPE_CHECKING = False  # typing alone would take longer to import than this
if TYPE_CHECKING:
    from clipbench.compare.gate import compare_results as compare
    from clipbench.errors import ClipbenchError
    from clipbench.python import predict, retrieve, run
    from clipbench.results.loaded import Results, load_results
else:

    def __getattr__(name):  # noqa: ANN001, ANN202
        """Return a name of ``__all__``, whose module is imported when it is first used."""
        from importlib import import_module

        if name == "compare":  # the room itself, which can be called
            return import_module("clipbench.compare")
        modules = {"ClipbenchError": "errors", "Results": "results.loaded", "load_results": "results.loaded"}
        if name not in __all__:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
        value = globals()[name] = getattr(import_module(f"clipbench.{modules.get(name, 'python')}"), name)
        return value

    def __dir__():  # noqa: ANN202
        return sorted({*globals(), *__all__})
