"The tools of .ci: a run that fails says so, and README.md is what its notebook makes."

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parent.parent


def write_notebook(path: Path, *sources: str) -> Path:
    cells = [new_code_cell(source) if not source.startswith("# ") else new_markdown_cell(source) for source in sources]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells), path)
    return path


# ---- one run of pytest counts notebooks and tests


@pytest.fixture
def small(tmp_path):
    "A project with the tools of this one and nothing to test yet."
    for name in ("conftest.py", "pytest.ini", "settings.ini", ".ci/pytest"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("nbs", "tests", "avesound"):
        (tmp_path / name).mkdir()
    return tmp_path


def check(project: Path, *arguments: str) -> subprocess.CompletedProcess:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [project / ".ci/pytest", sys.executable, *arguments], env={**env, "JOBS": "0"}, capture_output=True, text=True, check=False
    )


def last_line(done: subprocess.CompletedProcess) -> str:
    return done.stdout.rstrip().splitlines()[-1]


def test_notebooks_and_tests_are_counted_together(small):
    write_notebook(
        small / "nbs/01_good.ipynb",
        "# Good",
        "import os, sys\nx = 1",
        "assert x == 1 and os.path.basename(os.getcwd()) == 'nbs'\nos.environ['LEFT'] = 'behind'; sys.path.insert(0, '/left')",
    )
    write_notebook(small / "nbs/02_next.ipynb", "# Next", "import os, sys\nassert 'LEFT' not in os.environ and '/left' not in sys.path")
    write_notebook(small / "nbs/more/03_skip.ipynb", "# Skip", "import pytest", "pytest.skip('no such data here')", "assert False")
    write_notebook(small / "nbs/04_slow.ipynb", "# Slow", "#| slow\nassert False", "#| eval: false\nassert False")
    write_notebook(small / "nbs/_scratch.ipynb", "# No chapter", "assert False")
    (small / "tests/test_x.py").write_text("def test_x(): pass\n")
    done = check(small)
    assert (done.returncode, last_line(done)) == (0, "4 passed, 0 failed, 1 skipped"), done.stdout
    assert "no such data here" in done.stdout and "1 notebook cells left out" in done.stdout
    assert not list(small.rglob("__pycache__")) and not (small / ".pytest_cache").exists()


def test_a_failing_cell_is_shown(small):
    write_notebook(small / "nbs/01_wrong.ipynb", "# Wrong", "def ratio(a):\n    return 1 / a", "a = 0\nratio(a)", "print('not reached')")
    write_notebook(small / "nbs/02_hangs.ipynb", "# Hangs", "import time", "try:\n    time.sleep(60)\nexcept Exception:\n    pass")
    write_notebook(small / "nbs/03_slow.ipynb", "# Slow", "#| slow\nassert False, 'slow ran'")
    (small / "tests/test_x.py").write_text("import no_such_module\n")
    done = check(small, "--nb-seconds", "2", "--nb-flags", "slow gpu", "--continue-on-collection-errors")
    assert (done.returncode, last_line(done)) == (1, "0 passed, 4 failed, 0 skipped"), done.stdout
    assert (
        "nbs/01_wrong.ipynb, cell 3: ZeroDivisionError" in done.stdout and ">   2 ratio(a)" in done.stdout and "return 1 / a" in done.stdout
    )
    assert "nbs/02_hangs.ipynb, cell 3:" in done.stdout and "ran longer than 2 s" in done.stdout
    assert "slow ran" in done.stdout and "no_such_module" in done.stdout


def test_the_tests_of_a_notebook_run_against_its_module(small):
    write_notebook(
        small / "nbs/01_answer.ipynb",
        "# Answer",
        "#| default_exp answer",
        "#| export\ndef answer():\n    return 42",
        "assert answer() == 42",
    )
    (small / "avesound/__init__.py").write_text("")
    (small / "avesound/answer.py").write_text("def answer():\n    return 41\n")
    assert last_line(check(small, "--nb-module")) == "0 passed, 1 failed, 0 skipped"


def test_a_run_of_nothing_fails(small):
    done = check(small)
    assert (done.returncode, last_line(done)) == (1, "0 passed, 1 failed, 0 skipped")


def test_a_dead_worker_fails_the_run(small):
    (small / "tests/test_x.py").write_text("import os\ndef test_x(): os._exit(1)\ndef test_y(): pass\n")
    done = check(small, "-n", "1")
    assert done.returncode == 1 and last_line(done) == "0 passed, 1 failed, 0 skipped", done.stdout


# ---- README.md


spec = importlib.util.spec_from_file_location("readme", ROOT / ".ci/readme.py")
readme = importlib.util.module_from_spec(spec)
spec.loader.exec_module(readme)


def test_the_readme_is_what_the_index_makes():
    assert (ROOT / "nbs/index.ipynb").exists(), "nbs/index.ipynb, from which README.md is made, is not there"
    assert readme.readme(ROOT / "nbs/index.ipynb") == (ROOT / "README.md").read_text(encoding="utf-8"), "make readme"


def test_links_are_moved_to_the_top_level():
    page = """![A curve](images/x.png "title") [media](02_media.ipynb#decode)
[licence](../LICENSE), [out](https://x.org/a.png), [up](#top), [mail](mailto:a@b)
<img src="images/y.png" width="3"> `[code](images/x.png)`
[ref]: more/page.md

```bash
see [this](images/x.png)
```
"""
    moved = readme.from_top_level(page, "nbs")
    assert moved == page.replace("![A curve](images/x.png", "![A curve](nbs/images/x.png").replace("(02_media", "(nbs/02_media").replace(
        "(../LICENSE)", "(LICENSE)"
    ).replace('"images/y', '"nbs/images/y').replace(": more/page", ": nbs/more/page")


def test_directives_are_obeyed_and_dropped(tmp_path):
    path = write_notebook(
        tmp_path / "index.ipynb",
        "# avesound\n\n> When?",
        "#| hide\nimport secret",
        "#| default_exp nothing",
        "#| echo: false\nprint(1)",
        "#| export\nx = 2\n\n\nx",
        "#| output: false\nx = 3\nx",
    )
    nb = nbformat.read(path, 4)
    nb.cells[3].outputs = [new_output("stream", name="stdout", text="one\n")]
    nb.cells[4].outputs = [new_output("execute_result", data={"text/html": "<style scoped>\nb {}\n</style><b>two</b>", "text/plain": "2"})]
    nb.cells[5].outputs = [new_output("execute_result", data={"text/plain": "three"})]
    nbformat.write(nb, path)
    made = readme.readme(path)
    assert made.startswith("<!-- Made from") and made.endswith("```\n")
    assert (
        "# avesound\n\n> When?\n\n    one\n" in made and "<b>two</b>" in made and "```python\nx = 2\n\n\nx\n```" in made and "x = 3" in made
    )
    assert not any(word in made for word in ("secret", "#|", "default_exp", "print(1)", "three", "style"))


def test_the_readme_is_written_and_checked(tmp_path, capsys):
    path = write_notebook(tmp_path / "index.ipynb", "# avesound", "1 + 1")
    arguments = ["--notebook", str(path), str(tmp_path / "README.md")]
    assert readme.main([*arguments, "--check"]) == 1  # not there yet
    assert readme.main(arguments) == 0 and readme.main([*arguments, "--check"]) == 0
    capsys.readouterr()
    write_notebook(path, "# avesound", "1 + 2")
    assert readme.main([*arguments, "--check"]) == 1
    shown = capsys.readouterr()
    assert "-1 + 1" in shown.out and "+1 + 2" in shown.out and "make readme" in shown.err
    assert "1 + 1" in (tmp_path / "README.md").read_text() and sorted(p.name for p in tmp_path.iterdir()) == ["README.md", "index.ipynb"]
    path.unlink()
    assert readme.main(arguments) == 1 and "index.ipynb is not there" in capsys.readouterr().err


@pytest.mark.parametrize(
    "output, word",
    [
        (new_output("display_data", data={"image/png": "AAAA"}), "images"),
        (new_output("error", ename="ValueError", evalue="", traceback=[]), "ValueError"),
    ],
)
def test_what_a_readme_cannot_show_is_refused(tmp_path, output, word):
    path = write_notebook(tmp_path / "index.ipynb", "# avesound", "plot()")
    nb = nbformat.read(path, 4)
    nb.cells[1].outputs = [output]
    nbformat.write(nb, path)
    with pytest.raises(ValueError, match=rf"cell 2.*{word}"):
        readme.readme(path)


# ---- the rest


def test_no_python_is_a_clear_error(tmp_path):
    done = subprocess.run(
        [ROOT / ".ci/env", tmp_path / "venv"],
        env={**os.environ, "PYTHON": "false /nonexistent/python"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "tried: false /nonexistent/python" in done.stderr and not (tmp_path / "venv").exists()


def test_no_gpu_is_a_clear_word():
    done = subprocess.run(
        [sys.executable, ROOT / ".ci/gpu.py"], env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and re.search(r"^torch \d.*\nno GPU: ", done.stdout, re.MULTILINE) and "Traceback" not in done.stderr
