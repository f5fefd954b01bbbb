"""Guards of the design: what may be imported, required and shipped."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
FRAMEWORKS = (
    "torch",
    "jax",
    "jaxlib",
    "optax",
    "torch_sdaa",
    "torch_npu",
    "torch_mlu",
    "torch_musa",
    "habana_frameworks",
    "transformers",
    "tensorflow",
)
HEAVY = (*FRAMEWORKS, "numpy", "PIL", "tokenizers", "jsonschema", "rich", "yaml", "ftfy")


def imported_by(code):
    """Top-level modules that are loaded once ``code`` has run in a fresh interpreter."""
    probe = f"import sys\n{code}\nprint(' '.join(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.splitlines()[-1].split())


RUN = "from clipbench.cli import main\ntry:\n    main({words!r})\nexcept SystemExit as stop:\n    assert not stop.code"


def test_help_imports_nothing_heavy():
    assert not imported_by(RUN.format(words=["--help"])) & set(HEAVY)


@pytest.mark.parametrize("words", [["list"], ["show", "quickstart"], ["validate", str(TOP / "suites")]])
def test_looking_around_imports_no_framework(words):
    assert not imported_by(RUN.format(words=words)) & set(FRAMEWORKS)


def test_no_module_of_the_core_imports_a_framework():
    modules = [
        ".".join(path.relative_to(TOP).with_suffix("").parts)
        for path in (TOP / "clipbench").rglob("*.py")
        if path.name != "__main__.py"
    ]
    assert not imported_by("\n".join(f"import {name}" for name in modules)) & set(FRAMEWORKS)


def test_no_device_is_tested_for_by_name_outside_its_plugin():
    """Device names are compared nowhere; each device's own class may say what it is."""
    compared = re.compile(
        r"""(==|!=|\bin\b|startswith\()\s*[\[("']*(cuda|sdaa|cpu|mps|npu|mlu|musa|hpu|rocm|xpu)["']"""
    )
    for path in [*TOP.glob("clipbench/**/*.py"), *TOP.glob("plugins/**/*.py")]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            assert not compared.search(line), f"{path}:{number}: {line.strip()}"


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_the_metadata_never_requires_a_framework(framework):
    """A requirement on torch makes pip replace a vendor's build with the index's own."""
    from importlib.metadata import requires

    for requirement in requires("clipbench"):
        if re.match(rf"{framework}\b", requirement):
            assert re.fullmatch(rf"""{framework}\s*;\s*extra == ['"]{framework}['"]""", requirement), requirement
        assert not requirement.startswith("torch_sdaa") and not requirement.startswith("torch-sdaa")
