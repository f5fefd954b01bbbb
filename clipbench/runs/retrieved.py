"""What a run has retrieved, from its own folder to the place beside its result."""

import shutil
from dataclasses import replace
from pathlib import Path

from clipbench.api import Result
from clipbench.files.disk import DiskError, writing
from clipbench.files.hashing import sha256_of
from clipbench.files.whole import whole_file
from clipbench.results.result import retrieved_path


def place_retrieved(result: Result, source: Path, out: Path) -> Result:
    """Copy ``source`` beside where ``result`` will be, where it names one; return the result.

    It stays in the run's folder until the run is completed: a run that fails after its last evaluation resumes with
    it. Where it cannot be copied, or is not the file that was written, the result is without it, and warns.
    """
    if result.retrieved is None:
        return result
    target = retrieved_path(out / f"{result.run_id}.json", result.run_id)
    try:
        if not source.is_file() or sha256_of(source) != result.retrieved.sha256:
            raise DiskError(f"{source}: is not there, or not as it was written")
        needed = result.retrieved.bytes
        with writing("what was retrieved", target, needed), whole_file(target) as copy, source.open("rb") as original:
            shutil.copyfileobj(original, copy)
    except DiskError as error:
        warning = f"what was retrieved is not kept for people to look at: {error}"
        return replace(result, retrieved=None, warnings=(*result.warnings, warning))
    return result
