"""Compare: results held against references and baselines."""
