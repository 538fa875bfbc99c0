#!/usr/bin/env bash
# ruptures 1.1.10: where changes lie closer together than the margin, precision_recall gives a perfect segmentation 0.5.
#
# Its documentation counts a true change as detected if there is an estimated one at less than `margin` from it (10 by default, in samples or
# frames). The function goes through the true changes in order, and each uses up all estimates that are near enough, not one, so that the next finds
# none left (the set `used` in ruptures/metrics/precisionrecall.py). Onset and offset of a short event are such a pair. Of eight events of 0.2 s, that
# is 5 frames at 25 a second,
# - all bounds found exactly have precision 0.5 and recall 0.5, and so they have when found a frame late, or two; matched one to one both are 1.0,
#   and the recall is by the documented definition, too;
# - the onsets alone have 1.0 and 0.5: who leaves out every offset is better than who finds all;
# - events of 0.4 s (10 frames) have 1.0, since a distance of just the margin is not within it. At a margin of 25, one second, they have 0.5, too.
# In a longer row of close changes each takes the estimate of the next, and only the last has none: ten at a distance of 5 have 0.9. Nothing is
# warned of. No issue was found.
#
# What to do: give a margin of no more than half the shortest distance of two true changes, or match one to one, as mir_eval.util.match_events does.
#
# Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" \
    "ruptures==1.1.10" "mir_eval==0.8.2" "numpy==2.4.6" "scipy==1.17.1"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys
from importlib.metadata import version

from mir_eval.util import match_events
from ruptures.metrics import precision_recall

LAST = 1000  # frames, 40 s


def bounds(length: int, late: int = 0, events: int = 8) -> list[int]:
    "Onsets and offsets of events of so many frames, one each 4 s."
    return [100 * k + late + bound for k in range(1, events + 1) for bound in (0, length)]


def scores(truth: list[int], found: list[int], margin: int) -> dict[str, tuple]:
    "Precision and recall by ruptures and matched one to one; the recall as it is documented."
    near = sum(any(abs(change - other) < margin for other in found) for change in truth)
    matched = len(match_events(truth, found, margin - 1))  # whole numbers: less than the margin
    return {
        "ruptures": precision_recall([*truth, LAST], [*found, LAST], margin=margin),
        "one to one": (matched / len(found), matched / len(truth)),
        "documented": (near / len(truth),),
    }


short, row = bounds(5), list(range(500, 550, 5))
cases = {
    "5 frames, all exact": scores(short, short, 10),
    "5 frames, a frame late": scores(short, bounds(5, late=1), 10),
    "5 frames, two frames late": scores(short, bounds(5, late=2), 10),
    "5 frames, onsets alone": scores(short, short[::2], 10),
    "5 frames, margin 2": scores(short, bounds(5, late=1), 2),
    "10 frames, all exact": scores(bounds(10), bounds(10), 10),
    "10 frames, margin 25": scores(bounds(10), bounds(10), 25),
    "ten in a row": scores(row, row, 10),
}
print(f"ruptures {version('ruptures')}: precision and recall")
for name, of in cases.items():
    print(f"{name:>25}: {of}")
half = {"ruptures": (0.5, 0.5), "one to one": (1.0, 1.0), "documented": (1.0,)}
right = half | {"ruptures": (1.0, 1.0)}
described = {
    "5 frames, all exact": half,
    "5 frames, a frame late": half,
    "5 frames, two frames late": half,
    "5 frames, onsets alone": half | {"ruptures": (1.0, 0.5), "one to one": (1.0, 0.5)},
    "5 frames, margin 2": right,
    "10 frames, all exact": right,
    "10 frames, margin 25": half,
    "ten in a row": half | {"ruptures": (0.9, 0.9)},
}
if cases != described:
    sys.exit("changed: precision or recall are others")
print("as described: exact bounds of short events have a precision and a recall of 0.5")
PYTHON
