"""Random changes to files, each from a ``random.Random`` alone, so that any of them can be repeated."""

import copy
import json
import os
import sys
from pathlib import Path

TEXTS = (
    "", " ", "x", "quickstart", "own", "\x1b[2J\x1b]0;owned\x07", "\x9b31m", "a\n::error::owned", "::error::owned",
    "##[error]owned", "\u202eevil\u2066", "\udc80", "\x00", "\r", "\u2028", "\ufeff", "</script><script>",
    "{{ 7 * 7 }}", "[bold red]x[/]", "[/]", "..", "../../x", "/etc/passwd", "a/b", "%s%n", "9" * 5000, "ä" * 300, "🙂",
    "nan", "null",
    "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00.000Z", "completed",
    "failed", "interrupted", "higher", "lower", "percent",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 5, 7, 99.9, 100, 100.0, 101, 0.5, -0.0, 1e-9, 1e-320, 1e308, -1e308, 2**31, 2**53, 2**63, -(2**63),
    2**64, 10**400, -(10**400),
)  # fmt: skip
WINDOWS = ([[1e308, 1e308, 0]], [[1000, 0.001, 0]], [[0, 0, 0]], [[1, 1e-320, 0]], [[1, 0, 1]], [])
OTHERS = (None, True, False, [], {}, [[]], [None], [{}], {"": None}, {"value": 99.0}, *WINDOWS)


def value(random):
    """Return any value."""
    return copy.deepcopy(random.choice(random.choice((TEXTS, NUMBERS, OTHERS))))


def place(random, data):
    """Return a container inside ``data`` and one of its keys, deep ones as likely as shallow ones."""
    while True:
        keys = list(data) if isinstance(data, dict) else range(len(data))
        key = random.choice(keys)
        inner = data[key]
        if not isinstance(inner, (dict, list)) or not inner or random.random() < 0.15:
            return data, key
        data = inner


def change(random, data):
    """Change one thing inside ``data``, a dictionary; return what was done, in words.

    Mostly into something of the same type, which gets further than to the schema.
    """
    holder, key = place(random, data)
    old = holder[key]
    if random.random() < 0.6:
        fitting = {bool: ["not"], int: ["number"], float: ["number"], str: ["text"], list: ["repeat", "reorder"]}
        way = random.choice(fitting.get(type(old), ["swap"]))
    else:
        way = random.choice(("replace", "delete", "swap", "wrap", "other key", "reorder"))
    if way == "delete":
        del holder[key]
    elif way == "not":
        holder[key] = not old
    elif way == "number":
        others = (old + 1, old - 1, old * 2, old // 2, 100 - old, random.choice(NUMBERS))
        other = random.choice(others)
        # A float cannot be as large as an integer of an earlier change.
        holder[key] = type(old)(other) if abs(other) < sys.float_info.max else other
    elif way == "swap":
        other, name = place(random, data)
        holder[key], other[name] = copy.deepcopy(other[name]), old
    elif way == "repeat":
        holder[key] = old * random.choice((0, 2, 3)) + old[: random.randrange(len(old) + 1)]
    elif way == "reorder" and isinstance(old, list):
        random.shuffle(old)
    elif way == "reorder" and isinstance(old, dict):
        holder[key] = dict(random.sample(list(old.items()), len(old)))
    elif way == "wrap":
        holder[key] = random.choice(([old], {"value": old}, {key: old}))
    elif way == "other key" and isinstance(holder, dict):
        holder[random.choice((*TEXTS, f"{key}s", str(key).upper(), f" {key}"))] = holder.pop(key)
    elif way == "text":
        text = random.choice(TEXTS)
        holder[key] = random.choice((text, old + text, text + old, old.upper(), old[:-1]))
    else:
        way, holder[key] = "replace", value(random)
    return f"{way} at {str(key)[:40]!r} ({str(old)[:40]!r} became {str(_get(holder, key))[:40]!r})"


def borrow(random, data, other, most):
    """Replace up to ``most`` sections of ``data`` by those of ``other``; return which."""
    done = []
    for _ in range(random.randint(1, most)):
        holder, source, key = data, other, random.choice(list(data))
        path = [key]
        while random.random() < 0.4 and isinstance(source[key], dict) and isinstance(holder[key], dict):
            if not (common := [name for name in source[key] if name in holder[key]]):
                break
            holder, source, key = holder[key], source[key], random.choice(common)
            path.append(key)
        holder[key] = copy.deepcopy(source[key])
        done.append(".".join(path))
    return f"borrowed {', '.join(done)}"


def _get(holder, key):
    try:
        return holder[key]
    except (KeyError, IndexError):
        return "nothing"


def encoded(random, data):
    """Return ``data`` as the bytes of a JSON file in one of the many ways that there are."""
    text = json.dumps(data, ensure_ascii=True, indent=random.choice((None, 1)))
    if random.random() < 0.9:
        return text.encode(), "JSON"
    key = random.choice(list(data) or ["kind"])
    way, text = random.choice(
        (
            ("a key twice", text.replace("{", f"{{{json.dumps(key)}: {json.dumps(value(random))}, ", 1)),
            ("NaN", text.replace("0.0", "NaN", 1)),
            ("Infinity", text.replace(": 1", ": Infinity", 1)),
            ("a huge number", text.replace(": 1", ": " + "1" * 5000, 1)),
            ("1e999", text.replace(": 1", ": 1e999", 1)),
            ("raw text", json.dumps(data, ensure_ascii=False)),
            ("nested", "[" * 100_000),
            ("two documents", text + text),
        )
    )
    return text.encode("utf-8", "surrogatepass"), way


def damaged(random, content):
    """Return ``content`` with some bytes otherwise, and what was done."""
    way = random.choice(("flip", "cut", "insert", "mark", "utf-16", "empty", "zeros"))
    at = random.randrange(len(content) + 1)
    if way == "flip" and content:
        at = min(at, len(content) - 1)
        content = content[:at] + bytes([content[at] ^ (1 << random.randrange(8))]) + content[at + 1 :]
    elif way == "cut":
        content = content[:at]
    elif way == "insert":
        content = content[:at] + random.choice((b"\0", b"\xff", b"\x1b[2J", b"{", b'"', b",", b"NaN")) + content[at:]
    elif way == "mark":
        content = b"\xef\xbb\xbf" + content
    elif way == "utf-16":
        content = content.decode("utf-8", "replace").encode("utf-16")
    elif way == "empty":
        content = b""
    else:
        content = bytes(len(content))
    return content, f"{way} at byte {at}"


def replaced_by_link(random, path, others):
    """Put something that is no plain file in the place of ``path``; return what."""
    path.unlink()
    way = random.choice(("itself", "nowhere", "another file", "a folder", "a device", "a pipe", "its folder"))
    if way == "a folder":
        path.mkdir()
    elif way == "a pipe":
        os.mkfifo(path)
    else:
        targets = {
            "itself": path,
            "nowhere": path.with_name("nowhere.json"),
            "another file": random.choice(others),
            "a device": Path(os.devnull),
            "its folder": path.parent,
        }
        path.symlink_to(targets[way])
    return f"{way} in place of {path.name}"
