#!/usr/bin/env bash
# sed_eval 0.2.1: at a resolution of 0.1 s some events get a segment that they do not touch, and events that only meet overlap.
#
# Segments of an event run from floor(onset / resolution) to ceil(offset / resolution), in floating point, where 0.3 / 0.1 is
# 2.9999999999999996. So an event from 0.3 to 0.6 s has four segments of 0.1 s, that from 0.2 to 0.3 s among them; against an event from
# 0 to 0.3 s, with which it shares nothing, there is one true positive, and F is 0.29 instead of 0. With onsets at 0.6 and 0.7 s it is
# the same, at 0.5 and 1.1 s it is not; at a resolution of 0.05 s it is, at 0.02 s it is not. Of all onsets of one decimal up to 10 s,
# 9 have a segment too many at 0.1 s. Annotations with one decimal are what people write.
#
# Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" "sed_eval==0.2.1" "setuptools<81"
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys
from importlib.metadata import version

import dcase_util
import sed_eval


def counted(resolution: float, reference: tuple[float, float], estimated: tuple[float, float]) -> tuple[int, int, int, float]:
    "Segments of the reference, of the estimate, true positives, and the F-measure, of one event each in 20 s."
    metrics = sed_eval.sound_event.SegmentBasedMetrics(event_label_list=["bark"], time_resolution=resolution)
    events = [
        dcase_util.containers.MetaDataContainer(
            [{"event_label": "bark", "event_onset": onset, "event_offset": offset, "filename": "clip.wav"}]
        )
        for onset, offset in (reference, estimated)
    ]
    metrics.evaluate(*events, evaluated_length_seconds=20.0)
    of = metrics.overall
    return int(of["Nref"]), int(of["Nsys"]), int(of["Ntp"]), round(metrics.results_overall_metrics()["f_measure"]["f_measure"], 2)


print(f"sed_eval {version('sed_eval')}")
seen = {(res, at): counted(res, (0.0, at), (at, at + 0.3)) for res in (0.1, 0.05, 0.02) for at in (0.3, 0.5, 0.6, 0.7, 1.1)}
for (res, at), (n_reference, n_estimated, n_both, f) in seen.items():
    print(f"resolution {res}: 0 to {at} and {at} to {at + 0.3:g} s have {n_reference} and {n_estimated} segments, {n_both} in common, F = {f}")
wrong = [k / 10 for k in range(1, 100) if counted(0.1, (0.0, k / 10), (k / 10, k / 10 + 5))[2]]
print(f"events that meet at one of these moments share a segment of 0.1 s: {wrong}")
met = [key for key, (_, _, n_both, _) in seen.items() if n_both]
as_described = met == [(0.1, 0.3), (0.1, 0.6), (0.1, 0.7), (0.05, 0.3), (0.05, 0.6), (0.05, 0.7)] and seen[0.1, 0.3] == (3, 4, 1, 0.29) and len(wrong) == 33
if not as_described:
    sys.exit("changed: other events share a segment")
print("as described: events that only meet share a segment")
PYTHON
