#!/usr/bin/env bash
# crowsetta 5.1.2 (pandas 3.1.1): Audacity label tracks come back with other labels and with fewer events than they have, without a word.
#
# A label track has one event a line: start, end and label, separated by tabs; the label is free text and is not quoted. crowsetta's format
# "aud-seq" hands the file to pandas' reader of CSV with its defaults, so
# - a label that begins with a quotation mark swallows the lines up to the next quotation mark: two events become one, whose label holds
#   the second line, times included; nothing is raised;
# - where all labels are numbers (as numbered syllables of birdsong are), they are read as numbers first: 007 becomes "7.0", and 1e5
#   becomes "100000.0";
# - labels that pandas takes for missing values, such as NA or None, are refused (a schema error, label must not be null), as is an
#   event without a label, which Audacity writes for a mark that was not named;
# - a selection with frequencies, for which Audacity writes a second line that begins with a backslash, is refused as well.
# Seen by reading files as Audacity writes them; writing with `to_file` is faithful.
#
# Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" "crowsetta==5.1.2" "pandas==3.1.1" "numpy<3"
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys
from importlib.metadata import version
from pathlib import Path

from crowsetta.formats.seq import AudSeq

print(f"crowsetta {version('crowsetta')}, pandas {version('pandas')}")
TRACKS = {
    "plain": "2.500000\t4.000000\tbell\n6.000000\t9.250000\thorn\n",
    "quotation marks": '2.500000\t4.000000\t"bell\n6.000000\t9.250000\thorn"\n',
    "numbers": "2.500000\t4.000000\t007\n6.000000\t9.250000\t1e5\n",
    "missing": "2.500000\t4.000000\tNA\n6.000000\t9.250000\tNone\n",
    "unnamed": "2.500000\t4.000000\t\n6.000000\t9.250000\thorn\n",
    "frequencies": "2.500000\t4.000000\tbell\n\\\t100.000000\t2000.000000\n6.000000\t9.250000\thorn\n",
}


def read(text: str):
    Path("labels.txt").write_text(text)
    try:
        return [str(label) for label in AudSeq.from_file("labels.txt").labels]
    except Exception as error:
        return type(error).__name__


seen = {name: read(text) for name, text in TRACKS.items()}
for name, labels in seen.items():
    print(f"{name:>15}: {labels}")
expected = {
    "plain": ["bell", "horn"],
    "quotation marks": ["bell\n6.000000\t9.250000\thorn"],
    "numbers": ["7.0", "100000.0"],
    "missing": "SchemaError",
    "unnamed": "SchemaError",
    "frequencies": "SchemaError",
}
if seen != expected:
    sys.exit("changed: other labels than described")
print("as described: numbers and quotation marks in labels are not what the track says")
PYTHON
