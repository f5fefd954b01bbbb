"""A notebook's code run without Jupyter, cell by cell, and its outputs as Jupyter stores them.

    python -m tests.support.notebook docs/python.ipynb

runs it in a folder of its own and writes what it gave into the file.
"""

import ast
import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path


def read(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run_cells(notebook):
    """Yield the outputs of each code cell: what it prints, then its last expression where that is not None."""
    names = {"__name__": "__main__"}
    for number, cell in enumerate(code_cells(notebook), 1):
        tree, value, printed = ast.parse("".join(cell["source"])), None, io.StringIO()
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            exec(compile(tree, f"cell {number}", "exec"), names)
            if last is not None:
                value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)
        outputs = []
        if text := printed.getvalue():
            outputs.append({"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)})
        if value is not None:
            data = {"text/plain": repr(value).splitlines(keepends=True)}
            outputs.append({"data": data, "execution_count": number, "metadata": {}, "output_type": "execute_result"})
        yield outputs


def main(path):
    path, notebook = Path(path).resolve(), read(path)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for number, (cell, outputs) in enumerate(zip(code_cells(notebook), run_cells(notebook), strict=True), 1):
            cell["outputs"], cell["execution_count"] = outputs, number
        os.chdir("/")
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
