#!/usr/bin/env bash
# jupytext 1.19.6, format py:percent: a markdown cell that shows a shell script loses the "#" of its shebang on the way back.
#
# Seen: the notebook is written as "# #!/bin/bash" (right) and read as "!/bin/bash" (wrong), while the line "#$ -N job" below it
# comes back whole; py:hydrogen, py:light and md bring the cell back unchanged. A notebook with job scripts in its prose that is
# edited as a percent script is thus changed silently, and whoever copies the script from it gets one without an interpreter.
#
# Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "jupytext==1.19.6" "nbformat==5.10.4"
"$folder/venv/bin/python" - <<'PYTHON'
import jupytext
from nbformat.v4 import new_markdown_cell, new_notebook

cell = "A job script:\n\n```bash\n#!/bin/bash\n#$ -N job\necho done\n```"
notebook = new_notebook(cells=[new_markdown_cell(cell)])


def there_and_back(fmt):
    text = jupytext.writes(notebook, fmt)
    return text, jupytext.reads(text, fmt).cells[0].source


text, percent = there_and_back("py:percent")
print(percent)
assert "# #!/bin/bash\n# #$ -N job\n" in text, "written as it should be"
assert percent == cell.replace("#!/bin/bash", "!/bin/bash"), f"read back otherwise than before: {percent!r}"
for fmt in ("py:hydrogen", "py:light", "md"):
    assert there_and_back(fmt)[1] == cell, fmt
print("as described: py:percent loses the # of #!, the other formats keep it")
PYTHON
