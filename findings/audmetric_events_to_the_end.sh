#!/usr/bin/env bash
# audmetric 1.4.2 (audformat 1.4.3): an event that lasts to the end of its file matches one that ends anywhere.
#
# In audformat's tables an event may have no end (NaT): it lasts as long as the file. So says to_segmented_index, which puts the file's duration in
# its place on request, and NaT is what segmented_index fills in where no ends are given. audmetric's event metrics take such tables ("segmented index
# conform to audformat") and compute with NaT as with a number: a comparison of which is false, also that the ends are too far apart
# (`_segments_overlap` in audmetric/core/api.py). So, in a file of 10 s,
# - an event that is found from 1 s to the end, where it is at 1 to 2 s, has precision, recall and F-score 1.0, at a tolerance of 0 or 0.2 s; given
#   an end of 10 s, it has 0.0. So has half a second that is found of an event that lasts to the end, and nine seconds of one of half a second;
# - identification_error_rate of the first is 0.0, all right; with the end it is 8.0, eight seconds too much for one. Beyond the last end that is
#   a number nothing is counted, and between two ends an event without one is counted up to the next bound alone: found from 1 s to the end,
#   events at 1 to 2 and 5 to 6 s have a rate of 0.5, half missed; with the end 3.5, all found and seven seconds too much;
# - where there is no second bound the rate is NaN: of a file whose one event lasts to the end and is found so, all right.
# Nothing is warned of. The documentation of audmetric says nothing of NaT; no issue was found.
#
# What to do: put the durations in first: audformat.utils.to_segmented_index(table, allow_nat=False), of truth and predictions.
#
# Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" \
    "audmetric==1.4.2" "audformat==1.4.3" "pandas==3.1.1" "numpy==2.4.6"
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import os
import sys
import wave
from importlib.metadata import version

import audformat
import audmetric
import pandas

END = pandas.NaT
FILE = os.path.abspath("dog.wav")
with wave.open(FILE, "wb") as file:  # 10 s of silence
    file.setnchannels(1)
    file.setsampwidth(2)
    file.setframerate(16_000)
    file.writeframes(bytes(2 * 160_000))


def table(events: list[tuple]) -> pandas.Series:
    onsets, offsets = zip(*events)
    return pandas.Series("bark", audformat.segmented_index([FILE] * len(events), onsets, offsets), dtype="object")


def scores(truth: pandas.Series, found: pandas.Series) -> tuple:
    "F-score of events, their recall at a tolerance of 0.2 s, and the rate of errors in time."
    score = audmetric.event_fscore_per_class(truth, found)["bark"]
    recall = audmetric.event_recall_per_class(truth, found, onset_tolerance=0.2, offset_tolerance=0.2)["bark"]
    return round(score, 2), round(recall, 2), round(audmetric.identification_error_rate(truth, found), 2)


cases = {  # in seconds
    "at 1-2, found 1-end": ([(1, 2)], [(1, END)]),
    "at 1-end, found 1-1.5": ([(1, END)], [(1, 1.5)]),
    "at 1-1.5, found 1-end": ([(1, 1.5)], [(1, END)]),
    "at 1-2 and 5-6, found 1-end": ([(1, 2), (5, 6)], [(1, END)]),
    "at 1-end, found 1-end": ([(1, END)], [(1, END)]),
}
print(f"audmetric {version('audmetric')}, audformat {version('audformat')}, pandas {pandas.__version__}, a file of 10 s")
seen = {}
for name, (truth, found) in cases.items():
    tables = table(truth), table(found)
    with_ends = [audformat.utils.to_segmented_index(rows, allow_nat=False) for rows in tables]
    seen[name] = scores(*tables), scores(*with_ends)
    print(f"{name:>28}: F-score, recall, error rate {seen[name][0]}; with the duration as the end {seen[name][1]}")

described = {
    "at 1-2, found 1-end": ((1.0, 1.0, 0.0), (0.0, 0.0, 8.0)),
    "at 1-end, found 1-1.5": ((1.0, 1.0, 0.0), (0.0, 0.0, 0.94)),
    "at 1-1.5, found 1-end": ((1.0, 1.0, 0.0), (0.0, 0.0, 17.0)),
    "at 1-2 and 5-6, found 1-end": ((0.67, 0.5, 0.5), (0.0, 0.0, 3.5)),
    "at 1-end, found 1-end": ((1.0, 1.0, None), (1.0, 1.0, 0.0)),
}
no_nan = {name: tuple(tuple(None if number != number else number for number in row) for row in rows) for name, rows in seen.items()}
if no_nan != described:
    sys.exit("changed: events that last to the end have other scores")
print("as described: an event that lasts to the end of its file matches one that ends anywhere")
PYTHON
