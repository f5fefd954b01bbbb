"""How far reading many results is, for people who wait: on standard error, where that is a terminal."""

import sys


def tell_of_reading(done: int, count: int) -> None:
    """Show how many result files were read, in one line that the next call writes over."""
    if sys.stderr.isatty() and (done % 100 == 0 or done == count):
        end = "\n" if done == count else ""
        print(f"\rreading results that the index does not know: {done:,} of {count:,}", end=end, file=sys.stderr)
