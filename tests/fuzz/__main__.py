"""``python -m tests.fuzz --count 1000000 --seed N``: many trials on all cores; prints counts, and what broke.

``--only NUMBER`` repeats one trial of a seed and shows the whole traceback.
"""

import argparse
import itertools
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.fuzz.campaign import run_block
from tests.fuzz.kinds import KINDS

BLOCK = 500
MOST_SHOWN = 20


def main():
    """Run the trials that the arguments ask for; return 1 if any broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first trial")
    parser.add_argument("--only", type=int, help="repeat this one trial")
    parser.add_argument("--kind", action="append", choices=KINDS, help="only trials of this kind; repeatable")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    asked = parser.parse_args()
    kinds = tuple(asked.kind or KINDS)
    if asked.only is not None:
        with tempfile.TemporaryDirectory() as folder:
            counts, broken = run_block(Path(folder), asked.seed, range(asked.only, asked.only + 1), kinds, stop=True)
        print(dict(counts), *broken)
        return bool(broken)
    return _campaign(asked, kinds)


def _campaign(asked, kinds):
    began, counts, broken = time.monotonic(), Counter(), []
    last = asked.first + asked.count
    blocks = [range(first, min(first + BLOCK, last)) for first in range(asked.first, last, BLOCK)]
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(asked.processes) as pool:
        jobs = [pool.submit(run_block, Path(folder), asked.seed, block, kinds) for block in blocks]
        for done, job in enumerate(as_completed(jobs), start=1):
            more, failures = job.result()
            counts += more
            broken += failures
            for failure in failures[: max(0, MOST_SHOWN - len(broken) + len(failures))]:
                print(failure, flush=True)
            if done % 100 == 0 and sys.stderr.isatty():
                print(f"{done * BLOCK:,} of {asked.count:,}", file=sys.stderr)
    print(f"{counts.total():,} trials of seed {asked.seed} in {time.monotonic() - began:.0f} s, {len(broken)} broke")
    for kind, group in itertools.groupby(sorted(counts), key=lambda pair: pair[0]):
        codes = {code: counts[kind, code] for _, code in group}
        print(f"  {kind:26} {sum(codes.values()):>9,}  exit codes {codes}")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
