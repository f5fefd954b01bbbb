"""Tokenising every caption of a training file, as a run does once before its first step.

CLIPBENCH_DATA=DATA python -m benchmarks.tokenise [--quick] [--out benchmarks/results/tokenise.json]
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from benchmarks.harness import Record, arguments, in_turns, parse
from clipbench.clip.bpe import BpeTokenizer
from clipbench.clip.captions import clean_caption


def main() -> None:
    options = parse(arguments(__doc__))
    record = Record("tokenise", options)
    root = Path(os.environ.get("CLIPBENCH_DATA", ""))
    files = [root / "captions" / "en_train.json", root / "datasets" / "en_train.json"]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise SystemExit("CLIPBENCH_DATA names no folder with datasets/en_train.json")
    texts = [text for entry in json.loads(file.read_text(encoding="utf-8")) for text in entry["caption"]]
    texts = texts[:1000] if options.quick else texts

    def run() -> None:
        # A new tokenizer each time: it remembers the words that it has met.
        BpeTokenizer(root / "bpe_simple_vocab_16e6.txt.gz").encode([clean_caption(text) for text in texts])

    times = in_turns({"all": run}, 2 if options.quick else 3)["all"]
    print(f"{len(texts):,} captions: {times.seconds:.2f} s, {times.cpu_seconds:.2f} s of processor")
    record.save(captions=len(texts), times=times.to_dict(), captions_per_cpu_second=len(texts) / times.cpu_seconds)


if __name__ == "__main__":
    main()
