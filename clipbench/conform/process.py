"""The process in which checks are made: ``python -m clipbench.conform.process ANSWERS REQUEST``."""

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from clipbench.api.registry import load_registry
from clipbench.conform.checks import make_check
from clipbench.conform.conformance import Request, checks_of


def main(arguments: Sequence[str]) -> None:
    """Append the outcome of each check to the file named first; the second argument has the request as JSON."""
    answers, job = Path(arguments[0]), json.loads(arguments[1])
    names = job.pop("checks")
    request = Request(**{**job, "splits": tuple(job["splits"])})
    checks = checks_of(request.kind)
    with tempfile.TemporaryDirectory(prefix="clipbench-") as scratch:
        subject = request.subject(load_registry(), Path(scratch))
        for name in names:
            outcome = make_check(checks[name], subject)
            with answers.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(outcome)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
