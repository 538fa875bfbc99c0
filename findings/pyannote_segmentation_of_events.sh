#!/usr/bin/env bash
# pyannote.metrics 4.2.0: its segmentation metrics give one event against one event 1.0, wherever they lie, and take `uem` in vain.
#
# SegmentationPrecision and SegmentationRecall compare the ends of all segments but the last, which are the borders where segments meet. Of
# events with nothing between them, no onset counts, nor does the last offset. SegmentationPurity and SegmentationCoverage cut time at
# every border from the first to the last, so that what lies between two events is a segment like them, and look only at the time of the
# reference's events. So
# - against one event from 2 to 5 s, an estimate from 7 to 9 s has 1.0 in all four, where DetectionPrecision and DetectionRecall say 0.0;
#   two events have 1.0 in all four with onsets 2 and 1.5 s off and the last offset 3 s off;
# - the documentation says that all metrics take an evaluation map, and these are called with `uem=` like the others: the numbers are those
#   of the whole clip. Of the same clip, cropped by hand to its halves, the precision is 1.0 and 0.0.
# The examples of the docstrings are segments without gaps, for which the first is as it should be. For events, there are the metrics of
# pyannote.metrics.detection.
#
# Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" "pyannote.metrics==4.2.0" "pyannote.core==6.1.0"
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys
from importlib.metadata import version

from pyannote.core import Annotation, Segment, Timeline
from pyannote.metrics.detection import DetectionPrecision, DetectionRecall
from pyannote.metrics.segmentation import SegmentationCoverage, SegmentationPrecision, SegmentationPurity, SegmentationRecall


def events(*bounds: tuple[float, float]) -> Annotation:
    "Events of one class."
    annotation = Annotation()
    for bound in bounds:
        annotation[Segment(*bound)] = "bark"
    return annotation


def segmentation(reference: Annotation, estimate: Annotation, **settings: Timeline) -> list[float]:
    "Precision and recall of boundaries within 0.1 s, purity, coverage."
    metrics = SegmentationPrecision(tolerance=0.1), SegmentationRecall(tolerance=0.1), SegmentationPurity(), SegmentationCoverage()
    return [round(metric(reference, estimate, **settings), 2) for metric in metrics]


print(f"pyannote.metrics {version('pyannote.metrics')}, pyannote.core {version('pyannote.core')}")
seen = []
for reference, estimate in (([(2, 5)], [(7, 9)]), ([(2, 5), (7, 9)], [(4, 5), (5.5, 12)])):
    pair = events(*reference), events(*estimate)
    detection = [round(metric(*pair), 2) for metric in (DetectionPrecision(), DetectionRecall())]
    seen += [segmentation(*pair), detection]
    print(f"{reference} s against {estimate} s: segmentation {seen[-2]}, detection {detection}")
pair = events((2, 5), (6, 9), (11, 14), (16, 19)), events((2, 5), (6, 9), (11, 12), (16, 18))
seen.append(segmentation(*pair))
print(f"a clip of 20 s: segmentation {seen[-1]}")
for half in (Segment(0, 10), Segment(10, 20)):
    uem = Timeline([half])
    seen += [segmentation(*pair, uem=uem), segmentation(*(annotation.crop(uem) for annotation in pair))]
    print(f"{half.start} to {half.end} s of it: with uem {seen[-2]}, cropped by hand {seen[-1]}")
ones, whole = [1.0, 1.0, 1.0, 1.0], [0.67, 0.67, 1.0, 0.91]
described = [ones, [0.0, 0.0], ones, [0.4, 0.6], whole, whole, ones, whole, [0.0, 0.0, 1.0, 0.8]]
if seen != described:
    sys.exit("changed: other numbers than described")
print("as described: 1.0 for an event in another place, and for any part of the clip the numbers of the whole")
PYTHON
