"""Bad inputs written by hand, door by door: what comes in, and a word that the refusal must hold."""

import gzip
import io
import json
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import torch
from PIL import Image

HEAD = "name: bad\nmodel: {name: clip-tiny}\ndataset: {name: shapes}\n"
LAUGHS = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
LAUGHS += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]

# A suite's text, and what is said of it. Those of BARE stand alone, the others come after HEAD.
BARE_SUITES = {
    "empty": ("", "expected keys"),
    "a comment": ("# nothing\n", "expected keys"),
    "a list": ("- a\n- b\n", "expected keys"),
    "a number": ("7\n", "expected keys"),
    "JSON's null": ("null\n", "expected keys"),
    "two documents": ("a: 1\n---\nb: 2\n", "another document"),
    "not UTF-8": (b"name: caf\xe9\n", "not UTF-8"),
    "UTF-16": ("name: x\n".encode("utf-16"), "not UTF-8"),
    "a zero byte": (b"name: a\0b\n", "not allowed"),
    "a bell": (b"name: a\x07b\n", "not allowed"),
    "an archive": (b"PK\x03\x04" + b"\0" * 30, "not"),
    "a web page": ("<!DOCTYPE html>\n<p>Sign in", "expected keys"),
    "too large": ("#" * 300_000, "larger than"),
    "nested brackets": ("[" * 50_000, "nested too deeply"),
    "nested braces": ("{a: " * 20_000, "nested too deeply"),
    "nested dashes": ("- " * 50_000, "nested too deeply"),
    "an alias of itself": ("a: &a [*a]\n", "nested too deeply"),
    "an alias of nothing": ("a: *b\n", "undefined alias"),
    "tabs": ("name: x\n\tmodel: y\n", "YAML"),
    "an open quote": ("name: 'x\n", "YAML"),
    "an open bracket": ("name: [x\n", "YAML"),
    "no name": ("model: {name: clip-tiny}\ndataset: {name: shapes}\n", "name: missing"),
    "no model": ("name: x\ndataset: {name: shapes}\n", "model: missing"),
    "no dataset": ("name: x\nmodel: {name: clip-tiny}\n", "dataset: missing"),
    "a name with a slash": ("name: ../x\nmodel: {name: a}\ndataset: {name: b}\n", "matches"),
    "a name that is empty": ("name: ''\nmodel: {name: a}\ndataset: {name: b}\n", "matches"),
    "a name that is a number": ("name: 7\nmodel: {name: a}\ndataset: {name: b}\n", "string"),
    "a key twice": ("name: x\nname: y\n", "twice"),
    "a key that is a list": ("? [a]\n: b\n", "plain text"),
    "a directive of another YAML": ("%YAML 9.9\n---\na: 1\n", "YAML"),
}
SUITES = {
    "an empty value": ("reference:", "the value is empty; write null"),
    "billion laughs": ("\n".join(LAUGHS), "aliases"),
    "a tag that runs code": ("seed: !!python/object/apply:os.system [ls]", "tag"),
    "a tag that names a module": ("seed: !!python/module:os", "tag"),
    "a tag of one's own": ("seed: !secret 1", "tag"),
    "a tag spelled out": ("seed: !<tag:yaml.org,2002:python/name:os.system> x", "tag"),
    "binary": ("summary: !!binary aGVsbG8=", "tag"),
    "a set": ("summary: !!set {a}", "tag"),
    "a tag that lies": ("seed: !!int x", "not a value"),
    "a month of 13": ("summary: 2001-13-45", "not a value"),
    "not a number": ("train: {lr: .nan}", "finite"),
    "infinity": ("train: {lr: .inf}", "finite"),
    "too large to be finite": ("train: {lr: 1e999}", "finite"),
    "an octal number": ("seed: 010", "decimal"),
    "a sexagesimal number": ("seed: 1:30", "decimal"),
    "a number of 5,000 digits": (f"seed: {'9' * 5000}", "int"),
    "a number of 100 digits": (f"seed: {'9' * 100}", "out of range"),
    "a negative seed": ("seed: -1", "at least 0"),
    "a seed of 33 bits": ("seed: 4294967296", "at most"),
    "a seed that is true": ("seed: true", "integer"),
    "a seed that is text": ("seed: one", "integer"),
    "an unknown key": ("trane: {}", "did you mean 'train'"),
    "an unknown key inside": ("train: {bach_size: 4}", "batch_size"),
    "a section that is a list": ("train: []", "object"),
    "a section that is null": ("train: null", "object"),
    "epochs as text": ("train: {epochs: ten}", "integer"),
    "epochs below 0": ("train: {epochs: -1}", "at least 0"),
    "a million million epochs": ("train: {epochs: 1000000000000}", "at most"),
    "half an epoch": ("train: {epochs: 0.5}", "integer"),
    "no learning rate": ("train: {lr: 0}", "more than 0"),
    "a huge learning rate": ("train: {lr: 1e300}", "at most"),
    "a batch of one": ("train: {batch_size: 1}", "at least 2"),
    "a million workers": ("train: {workers: 1000000}", "at most"),
    "an unknown precision": ("precision: float31", "did you mean 'float32'"),
    "an unknown augmentation": ("train: {augment: some}", "published"),
    "limits the wrong way round": ("train: {schedule: {peak_limits: [1e-5, 1e-6]}}", "peak_limits"),
    "three limits": ("train: {schedule: {peak_limits: [1, 2, 3]}}", "at most 2 items"),
    "a beta of 1": ("train: {optimizer: {betas: [0.9, 1]}}", "less than 1"),
    "no ranks": ("world_size: 0", "at least 1"),
    "too many ranks": ("world_size: 1000000", "at most"),
    "ranks, as version 0.1.0 called them": ("ranks: 2", "is called 'world_size'"),
    "a matrix of ranks": ("matrix: {ranks: [1, 2]}", "is called 'world_size'"),
    "an empty matrix": ("matrix: {seed: []}", "at least 1"),
    "a matrix of an unknown key": ("matrix: {trian.lr: [1]}", "not a key"),
    "a matrix of a wrong value": ("matrix: {train.lr: [fast]}", "number"),
    "a matrix of millions": (
        "matrix: {" + ", ".join(f"dataset.options.o{n}: [0, 1, 2, 3]" for n in range(12)) + "}",
        "cases; expected at most",
    ),
    "an unknown way with bad images": ("dataset: 1", "twice"),
}
# What a registry, not a schema, refuses: through `show`.
UNKNOWN_NAMES = {
    "engine": ("engine: tensors", "engine"),
    "device": ("device: gpu9", "device"),
    "a batch larger than the data": ("train: {batch_size: 100000}", "more than"),
    "ranks that do not share": ("world_size: 3", "ranks"),
}
SETS = {
    "train.lr": "key.path=value",
    "=3": "key.path=value",
    "": "key.path=value",
    "train.lr=": "train.lr=: the value is empty; write null",
    "model.weights=": "model.weights=: the value is empty; write null",
    'model.weights=""': "a text of at least 1 characters",
    "dataset.root=  ": "the value is empty",
    "train.lr=fast": "number",
    "train.lr=.inf": "finite",
    "train.lr=[": "YAML",
    "train.lr=!!python/name:os.system x": "tag",
    "train.lr=&a [*a]": "nested",
    "train..lr=1": "train.",
    "train=1": "object",
    "train.lr.deep=1": "train.lr",
    "trian.lr=1": "did you mean 'train'",
    "train.epochs=1e3": "integer",
    "train.epochs=010": "decimal",
    "ranks=2": "is called 'world_size'",
    "seed=-1": "at least 0",
    "seed=99999999999": "at most",
    "name=other": "only in the suite's file",
    "matrix={}": "only in the suite's file",
    "dataset.name=nothing": "dataset",
    "model.name=clip-huge": "model",
    "device=gpu9": "device",
    "precision=double": "precision",
    "dataset.options=3": "object",
    "dataset.options.train_images=0": "train_images",
    "dataset.options.train_images=many": "train_images",
    "dataset.options.colours=3": "colours",
    "dataset.options.image_size=1000000": "image_size",
    "dataset.options.train_images=999999999": "train_images",
    "dataset.on_bad_image=hide": "expected one of",
    "train.lr=" + "[" * 20_000: "nested",
    "seed=" + "9" * 5000: "int",
}


def _changed(key, value):
    def change(result):
        section, *rest = key
        target = result
        while rest:
            target, section, rest = target[section], rest[0], rest[1:]
        target[section] = value
        return result

    return change


def _without(key):
    return lambda result: {name: value for name, value in result.items() if name != key}


# A good result, changed: as data, or as the bytes of its file.
RESULTS = {
    "another kind": (_changed(["kind"], "clipbench.resolt"), "not a file of clipbench"),
    "a kind that is a list": (_changed(["kind"], ["clipbench.result"]), "not a file of clipbench"),
    "no kind": (_without("kind"), "not a file of clipbench"),
    "a newer version": (_changed(["schema_version"], 3), "newer"),
    "a version of text": (_changed(["schema_version"], "1"), "schema_version"),
    "an edited recall": (_changed(["metrics", "last", "values", "recall_mean", "value"], 99.9), "edited"),
    "an edited status": (_changed(["seed"], 1), "edited"),
    "an edited digest": (_changed(["digest"], "0" * 64), "edited"),
    "a digest that is none": (_changed(["digest"], "yes"), "digest"),
    "an unknown key": (_changed(["extra"], 1), "unknown key"),
    "no metrics": (_without("metrics"), "missing"),
    "epochs that are text": (_changed(["epochs"], "all"), "epochs"),
    "no epochs": (_changed(["epochs"], []), "epochs"),
    "a negative rank": (_changed(["query_ranks", "text"], [-1]), "at least 0"),
    "a failed case without an error": (_changed(["status"], "failed"), "error"),
    "a time of tomorrow's format": (_changed(["started"], "yesterday"), "started"),
    "a run id with a slash": (_changed(["run_id"], "../../x"), "run_id"),
    "a null in place of a section": (_changed(["environment"], None), "environment"),
    "a boolean for a number": (_changed(["seed"], True), "seed"),
}
RESULT_BYTES = {
    "an empty file": (lambda good: b"", "not valid JSON"),
    "a result cut short": (lambda good: good[: len(good) // 2], "not valid JSON"),
    "a result cut by a byte": (lambda good: good.rstrip()[:-1], "not valid JSON"),
    "two results": (lambda good: good + good, "not valid JSON"),
    "NaN": (lambda good: good.replace(b"90.0", b"NaN"), "NaN"),
    "infinity by its size": (lambda good: good.replace(b"90.0", b"1e999"), "finite"),
    "a key twice": (lambda good: b'{"kind": "clipbench.result",' + good.lstrip()[1:], "twice"),
    "not UTF-8": (lambda good: good.replace(b"mine", b"m\xefne"), "UTF-8"),
    "zero bytes": (lambda good: b"\0" * len(good), "not valid JSON"),
    "a list": (lambda good: b"[" + good + b"]", "not a file of clipbench"),
    "a number": (lambda good: b"7", "not a file of clipbench"),
    "deep nesting": (lambda good: b"[" * 100_000, "nested"),
    "deep nesting inside": (lambda good: good.replace(b'"model": {}', b'"model": ' + b'{"a":' * 5000), "nested"),
    "a number of 5,000 digits": (lambda good: good.replace(b"90.0", b"9" * 5000), "not valid JSON"),
    "a web page": (lambda good: b"<!DOCTYPE html>", "not valid JSON"),
    "gzip": (lambda good: gzip.compress(good), "UTF-8"),
}
REFERENCE = {
    "kind": "clipbench.reference",
    "schema_version": 1,
    "name": "mine",
    "summary": "figures",
    "source": "nowhere",
    "date": "2026",
    "device": None,
    "precision": None,
    "batch_size": None,
    "epochs": None,
    "metrics": {"recall_mean": {"value": 90.0, "unit": "percent", "direction": "higher", "tolerance": {"absolute": 1}}},
}
REFERENCES = {
    "a newer version": (_changed(["schema_version"], 7), "newer"),
    "no metrics": (_changed(["metrics"], {}), "metrics"),
    "no source": (_without("source"), "source: missing"),
    "a tolerance below 0": (_changed(["metrics", "recall_mean", "tolerance"], {"absolute": -1}), "at least 0"),
    "a tolerance of two kinds": (
        _changed(["metrics", "recall_mean", "tolerance"], {"absolute": 1, "relative": 1}),
        "tolerance",
    ),
    "a value of text": (_changed(["metrics", "recall_mean", "value"], "90"), "number"),
    "a value of 400 digits": (_changed(["metrics", "recall_mean", "value"], 10**400), "finite"),
    "an unknown direction": (_changed(["metrics", "recall_mean", "direction"], "up"), "higher"),
    "a name with a space": (_changed(["name"], "a b"), "name"),
    "a date in words": (_changed(["date"], "last year"), "date"),
    "an unknown key": (_changed(["tolerances"], {}), "unknown key"),
    "notes that are one text": (_changed(["notes"], "none"), "notes"),
}

ENTRY = {"image": "pictures/a.jpg", "caption": ["one"]}


def _entry(**changes):
    return [ENTRY, {"image": "pictures/b.jpg", "caption": ["two"], **changes}]


ANNOTATIONS = {
    "an empty file": (b"", "not JSON"),
    "cut short": (json.dumps([ENTRY]).encode()[:-4], "not JSON"),
    "not UTF-8": (b'[{"image": "caf\xe9.jpg", "caption": "x"}]', "not UTF-8"),
    "UTF-16": (json.dumps([ENTRY]).encode("utf-16"), "not UTF-8"),
    "deep nesting": (b"[" * 100_000, "not usable JSON"),
    "a number of 5,000 digits": (b"[" + b"9" * 5000 + b"]", "not usable JSON"),
    "a web page": (b"<html>", "not JSON"),
    "an object": ({"images": [ENTRY]}, "JSON object"),
    "text": ("none", "JSON string"),
    "null": (None, "JSON null"),
    "an empty list": ([], "empty list"),
    "a list in the list": ([[ENTRY]], "entry 1 of 1"),
    "a null in the list": ([ENTRY, None], "entry 2 of 2"),
    "an empty object": ([{}], "image: missing"),
    "no image": ([{"caption": "x"}], "image: missing"),
    "no caption": ([{"image": "a.jpg"}], "caption: missing"),
    "captions by another name": ([{"image": "a.jpg", "captions": ["x"]}], "caption: missing"),
    "a caption of a number": (_entry(caption=7), "entry 2 of 2: caption: 7"),
    "a caption of a list": (_entry(caption=[["x"]]), "JSON list"),
    "a caption of null": (_entry(caption=["x", None]), "JSON null"),
    "no captions": (_entry(caption=[]), "empty list"),
    "an empty caption": (_entry(caption=[""]), "is empty"),
    "a caption of blanks": (_entry(caption=[" \t\n"]), "is empty"),
    "half a surrogate pair": (b'[{"image": "a.jpg", "caption": "\\ud800"}]', "surrogate"),
    "a caption of a megabyte": (_entry(caption="x" * 1_000_000), "characters"),
    "a key twice": (b'[{"image": "a.jpg", "caption": ["x"], "caption": ["y"]}]', "twice"),
    "a picture twice": ([ENTRY, ENTRY], "entry 2: image: 'pictures/a.jpg' is listed before, in entry 1"),
    "a picture twice, spelled otherwise": (_entry(image="pictures//./a.jpg"), "listed before"),
    "an image of a number": (_entry(image=3), "JSON number"),
    "an empty image": (_entry(image=""), "is empty"),
    "an absolute path": (_entry(image="/etc/passwd"), "absolute"),
    "a drive": (_entry(image="C:\\a.jpg"), "absolute"),
    "a share": (_entry(image="\\\\host\\a.jpg"), "absolute"),
    "a path that climbs": (_entry(image="pictures/../../../etc/passwd"), "'..'"),
    "a path that climbs with backslashes": (_entry(image="..\\..\\a.jpg"), "'..'"),
    "a zero byte": (_entry(image="a\0.jpg"), "names no file"),
    "a line break": (_entry(image="a\n.jpg"), "names no file"),
    "an escape": (_entry(image="\x1b[2Ja.jpg"), "names no file"),
    "a folder": (_entry(image="pictures/"), "names no file"),
    "a dot": (_entry(image="."), "names no file"),
    "a picture that is not there": (_entry(image="pictures/none.jpg"), "none.jpg"),
    "a name of 5,000 letters": (_entry(image="x" * 5000), "5,000 characters"),
    "a name of 500 letters": (_entry(image="x" * 500), "1 of 2 pictures"),
    "a folder as a picture": (_entry(image="pictures"), "1 of 2 pictures"),
    "a link to nothing": (_entry(image="pictures/dangling.jpg"), "dangling.jpg"),
    "a pipe": (_entry(image="pictures/pipe.jpg"), "pipe.jpg"),
}


def _png(width, height, *chunks):
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), *chunks]
    written = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


_DATA = (b"IDAT", zlib.compress(b"\0" * 100_000))


def _encoded(form, size=(64, 48), mode="RGB", **options):
    file = io.BytesIO()
    Image.effect_noise(size, 60).convert(mode).save(file, form, **options)
    return file.getvalue()


def _jpeg_of(width, height):
    """A JPEG whose header claims a size that its data has not."""
    good = bytearray(_encoded("JPEG"))
    at = good.index(b"\xff\xc0") + 5
    good[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(good)


# Bytes of a picture file, what is said of it, and whether its header alone tells.
PICTURES = {
    "empty": (b"", "an empty file", True),
    "text": (b"no picture at all", "not a picture", True),
    "a web page": (b"<!DOCTYPE html><p>Sign in", "a web page", True),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs", True),
    "zero bytes": (b"\0" * 5000, "not a picture", True),
    "an archive": (b"PK\x03\x04" + b"\0" * 100, "not a picture", True),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "not a picture", True),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture", True),
    "PDF": (b"%PDF-1.7\n", "not a picture", True),
    "an icon": (b"\0\0\1\0" + b"\1" * 40, "not a picture", True),
    "a JPEG of two bytes": (b"\xff\xd8", "", True),
    "a JPEG cut in its header": (_encoded("JPEG")[:100], "", True),
    "a JPEG cut in the middle": (_encoded("JPEG")[:-800], "truncated", False),
    "a PNG cut in its header": (_encoded("PNG")[:20], "", True),
    "a PNG cut in the middle": (_encoded("PNG")[:1500], "truncated", False),
    "a PNG with broken data": (_encoded("PNG")[:60] + b"\0" * 500 + _encoded("PNG")[560:], "", False),
    "a GIF cut in the middle": (_encoded("GIF")[:900], "", False),
    "a WebP cut in the middle": (_encoded("WEBP")[:200], "", True),
    "a BMP cut in the middle": (_encoded("BMP")[:2000], "truncated", False),
    "a TIFF cut in the middle": (_encoded("TIFF")[:2000], "", False),
    "a bomb of 20,000 x 20,000": (_png(20_000, 20_000, _DATA), "pixels", True),
    "a bomb of 10,000 x 9,000": (_png(10_000, 9000, _DATA), "pixels", True),
    "a bomb of 2 billion by 2 billion": (_png(2**31 - 1, 2**31 - 1, _DATA), "", True),
    "a JPEG that claims 60,000 x 60,000": (_jpeg_of(60_000, 60_000), "pixels", True),
    "a bomb of thin shape": (_png(1, 60_000, _DATA), "times the other", True),
    "no pixels": (_png(0, 5, _DATA), "", True),
}


class Malicious:
    """Unpickled, it would leave a file behind."""

    def __reduce__(self):
        return Path.touch, (Path("run.txt"),)


def _saved(data):
    file = io.BytesIO()
    torch.save(data, file)
    return file.getvalue()


def _zipped(**files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"m/{name.replace('__', '.').replace('_', '/')}", content)
    return file.getvalue()


def _script(data_pickle, **files):
    """An archive that looks like TorchScript's, around a pickle."""
    return _zipped(data__pkl=data_pickle, constants__pkl=pickle.dumps(()), **files)


def _safetensors(header, data=b"\0" * 16):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(header)) + header + data


_STORAGE = b"\x80\x02((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ."
WEIGHTS = {
    "empty": (b"", "empty"),
    "text": (b"just some words\n", "text, not weights"),
    "JSON": (b'{"error": "access denied"}', "text, not weights"),
    "a web page": (b"\n<!DOCTYPE html><html>Sign in</html>", "web page"),
    "XML": (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "web page"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "zero bytes": (b"\0" * 5000, ""),
    "a picture": (_encoded("PNG"), ""),
    "gzip": (gzip.compress(_saved({"a": torch.zeros(3)})), ""),
    "a pickle with code": (pickle.dumps(Malicious()), ""),
    "an archive with code": (_saved({"a": Malicious()}), "run code"),
    "an archive cut short": (_saved({"a": torch.zeros(1000)})[:2000], "cut short"),
    "an archive without its pickle": (_zipped(version=b"3"), "unreadable"),
    "an archive of nothing": (b"PK\x05\x06" + b"\0" * 18, ""),
    "a list": (_saved([torch.zeros(1)]), "no state dict"),
    "a number": (_saved(3), "no state dict"),
    "an empty dictionary": (_saved({}), "no state dict"),
    "a dictionary of numbers": (_saved({"epoch": 1}), "no state dict"),
    "TorchScript with code in its pickle": (_script(pickle.dumps(Malicious())), "no part of weights"),
    "TorchScript that asks for os.system": (_script(b"cos\nsystem\n(S'touch run.txt'\ntR."), "no part of weights"),
    "TorchScript that asks for builtins": (_script(b"cbuiltins\neval\n(S'1'\ntR."), "no part of weights"),
    "TorchScript that holds a list": (_script(pickle.dumps([1])), "not a module"),
    "TorchScript with a cut pickle": (_script(b"\x80\x02}q\0("), "cannot be read"),
    "TorchScript without its storage": (_script(_STORAGE), "data/0"),
    "TorchScript with a short storage": (_script(_STORAGE, data_0=b"\0" * 3), "3 bytes"),
    "TorchScript of a big-endian machine": (_script(pickle.dumps(()), byteorder=b"big"), "big-endian"),
    "safetensors cut short": (
        _safetensors({"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}),
        "cut short",
    ),
    "safetensors with a header of no sense": (_safetensors(b'{"a": 7, "b"'), ""),
    "safetensors of an unknown type": (
        _safetensors({"a": {"dtype": "F1", "shape": [4], "data_offsets": [0, 16]}}),
        "",
    ),
    "safetensors that overlap": (
        _safetensors(
            {
                "a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
                "b": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
            }
        ),
        "",
    ),
    "safetensors of nothing": (_safetensors({}, b""), "no state dict"),
    "safetensors with a header of gigabytes": (struct.pack("<Q", 2**40) + b"{}" + b"\0" * 99, ""),
}
VOCABULARIES = {
    "empty": (b"", "no merges"),
    "not gzip": (b"#version: 0.2\na b\n", "gzip"),
    "gzip cut short": (gzip.compress(b"#version: 0.2\na b\n" * 100)[:-9], "gzip"),
    "gzip of nothing": (gzip.compress(b""), "no merges"),
    "a header alone": (gzip.compress(b"#version: 0.2\n"), "no merges"),
    "not UTF-8": (gzip.compress(b"#version\n\xff\xfe a\n"), "gzip text"),
    "three tokens in a line": (gzip.compress(b"#version\na b c\n"), "line 2"),
    "one token in a line": (gzip.compress(b"#version\nab\n"), "line 2"),
    "a token from nowhere": (gzip.compress(b"#version\nab cd\n"), "line 2"),
    "a bomb": (gzip.compress(b"\0" * 40_000_000), "once unpacked"),
}

# Words of a command line, the exit code, and what is said.
ARGUMENTS = [
    (["nonsense"], 2, "No such command"),
    (["--nonsense"], 2, "No such option"),
    (["run"], 2, "Missing argument"),
    (["run", "nowhere.yaml"], 2, "nowhere.yaml"),
    (["run", "x" * 5000], 2, "no such file"),
    (["run", "nowhere\0.yaml"], 2, "nowhere"),
    (["run", ""], 2, ""),
    (["run", "."], 2, "folder"),
    (["run", "/dev/null"], 2, ""),
    (["run", "quickstart", "--seed", "one"], 2, "integer"),
    (["run", "quickstart", "--seed", "-1"], 2, "at least 0"),
    (["run", "quickstart", "--max-steps", "0"], 2, "at least 1"),
    (["run", "quickstart", "--max-steps", "1.5"], 2, "integer"),
    (["run", "quickstart", "--device", "gpu9"], 2, "device"),
    (["run", "quickstart", "--device", "[1"], 2, "device"),
    (["run", "quickstart", "--case", "nothing"], 2, "no such case"),
    (["run", "quickstart", "--case", "["], 2, "no such case"),
    (["run", "quickstart", "--progress", "loud"], 2, "Invalid value"),
    (["run", "quickstart", "--out", "a-file"], 2, "a-file"),
    (["run", "quickstart", "--out", "a-file/results"], 5, "a-file"),
    (["run", "quickstart", "--out", "x" * 5000], 5, "cannot be written"),
    (["run", "quickstart", "--dry-run", "--set", "model.weights=none.pth"], 5, "none.pth"),
    (["run", "quickstart", "--dry-run", "--set", "model.weights=" + "x" * 5000], 5, "xxx"),
    (["run", "quickstart", "--dry-run", "--set", "model.vocabulary=none.gz"], 5, "none.gz"),
    (["run", "quickstart", "--dry-run", "--set", 'model.vocabulary="\\0"'], 5, ""),
    (["run", "flickr8k_smoke", "--dry-run", "--set", "dataset.root=/nowhere"], 5, "/nowhere"),
    (["run", "flickr8k_smoke", "--dry-run", "--set", "dataset.root=" + "y" * 5000], 5, "en_train.json"),
    (["run", "flickr8k_smoke", "--dry-run", "--set", 'dataset.train="\\0"'], 5, ""),
    (["show"], 2, "Missing argument"),
    (["show", "quickstart", "--format", "yaml"], 2, "Invalid value"),
    (["list", "gadgets"], 2, "gadgets"),
    (["validate"], 2, "Missing argument"),
    (["validate", "nowhere"], 2, "nowhere"),
    (["validate", "x" * 5000], 2, "no such file"),
    (["validate", "empty-folder"], 2, "nothing to validate"),
    (["validate", "a-file"], 3, "a-file"),
    (["validate", "/dev/null"], 3, "/dev/null"),
    (["validate", "pipe.json"], 3, "pipe.json"),
    (["validate", "pipe.yaml"], 2, "pipe.yaml"),
    (["compare"], 2, "Missing argument"),
    (["compare", "nowhere"], 2, "nowhere"),
    (["compare", "a-file"], 3, "a-file"),
    (["compare", "/dev/null"], 3, "/dev/null"),
    (["compare", "pipe.json"], 3, "pipe.json"),
    (["compare", "empty-folder"], 4, ""),
    (["compare", "x" * 5000], 2, ""),
    (["compare", "a-file", "--references", "nowhere"], 2, "nowhere"),
]

TABLES = {
    "suite": {**BARE_SUITES, **SUITES, **UNKNOWN_NAMES},
    "--set": SETS,
    "result": {**RESULTS, **RESULT_BYTES},
    "reference": REFERENCES,
    "annotations": ANNOTATIONS,
    "picture": PICTURES,
    "weights": WEIGHTS,
    "vocabulary": VOCABULARIES,
    "argument": ARGUMENTS,
}
COUNT = sum(map(len, TABLES.values()))
