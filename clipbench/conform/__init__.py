"""Whether a plugin keeps the promises of the contract, one by one: for ``clipbench conform`` and for pytest."""

from clipbench.conform.conformance import promises

__all__ = ["promises"]
