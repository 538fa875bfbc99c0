#!/usr/bin/env bash
# sktime 1.2.0: WindowedF1Score gives 0 to exact detections at its default, counts only late ones at the margin, and prefers one to three.
#
# The F1 of onsets or of change points: a true moment counts as found where a detection is at most `margin` frames away; of the default, 0, the
# documentation says "only exact matches being counted". Seen, with moments as numbers of frames (`_evaluate` in detection/_f1score.py):
# - at the default nothing is counted: true moments compared with themselves have 0.0, as any other detections. On the way to the first candidate,
#   detections are passed over that are <= true - margin, where < is meant;
# - for the same reason detections that are early by just the margin are wrong, and those that are as late are right. At a margin of 1, all
#   detections one frame early have F1 0, all one frame late F1 1;
# - a detection is not used up: near three true moments, it counts three times, and one in all has precision 3. So one detection at 110 for
#   100, 110 and 120 has F1 1.5 at a margin of 12, more than the right three, which have 1.0. Whoever picks a threshold or a model by
#   this score picks the one that finds too little.
# Its neighbour TimeSeriesAUPRC, given moments (its default, with_scores=False), makes the scores of the detections from their distances to the true
# moments: a detector that fires at each frame has 1.0, one that is right but for one frame of delay 0.02.
#
# Known in part: that a detection counts more than once is changed in sktime pull requests 9594 (closed) and 9859 (open).
#
# What to do: match one to one, as mir_eval.onset.f_measure does (early and late alike, the margin included), or give margin + 0.5 in place of margin,
# which puts the first two right, as long as true moments are more than twice that far apart.
#
# Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" \
    "sktime==1.2.0" "scikit-learn==1.9.1" "pandas==2.3.3" "numpy==2.4.6" "mir_eval==0.8.2"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import mir_eval
import numpy
import pandas
import sktime
from sktime.performance_metrics.detection import TimeSeriesAUPRC, WindowedF1Score


def moments(frames) -> pandas.DataFrame:
    return pandas.DataFrame({"ilocs": list(frames)})


def scored(true, found, margin) -> tuple[float, float]:
    "F1 of sktime, and of a matching one to one, with the same margin in frames."
    one_to_one = mir_eval.onset.f_measure(numpy.array(true, float), numpy.array(found, float), window=margin)[0]
    return round(float(WindowedF1Score(margin=margin)(moments(true), moments(found))), 2), round(float(one_to_one), 2)


print(f"sktime {sktime.__version__}: F1, and that of mir_eval {mir_eval.__version__}")
true, close = [25, 60, 90], [100, 110, 120]
early, late = [frame - 1 for frame in true], [frame + 1 for frame in true]
cases = {
    "exact, margin 0": (true, true, 0),
    "exact, margin 1": (true, true, 1),
    "one frame early, margin 1": (true, early, 1),
    "one frame late, margin 1": (true, late, 1),
    "one frame early, margin 1.5": (true, early, 1.5),
    "one frame late, margin 1.5": (true, late, 1.5),
    "exact, margin 0.5": (true, true, 0.5),
    "three close ones found, margin 12": (close, close, 12),
    "one found of three close ones, margin 12": (close, [110], 12),
}
seen = {name: scored(*case) for name, case in cases.items()}
for name, (f1, one_to_one) in seen.items():
    print(f"{name:>40}: {f1:4} {one_to_one:4}")
if WindowedF1Score()(moments(true), moments(true)) != 0:
    sys.exit("changed: at the default margin exact detections count")
area = {name: TimeSeriesAUPRC()(moments(true), moments(found)) for name, found in (("each frame", range(100)), ("one frame late", late))}
area = {name: round(float(value), 2) for name, value in area.items()}
print(f"area under precision and recall: {area}")

f1 = {name: value for name, (value, _) in seen.items()}
expected = [0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.5]
if list(f1.values()) != expected:
    sys.exit("changed: other detections are counted")
if [value for _, value in seen.values()] != [1.0] * 8 + [0.5]:
    sys.exit("changed: matched one to one, detections have other scores")
if area != {"each frame": 1.0, "one frame late": 0.02}:
    sys.exit("changed: the area depends on something else")
print("as described: exact detections have F1 0 at the default, and one detection for three true moments 1.5")
PYTHON
