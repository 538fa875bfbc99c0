#!/usr/bin/env bash
# pyannote.core 6.1.0: made into seconds, an event from 2 to 4 s and one from 3 to 5 s are the same, and have three seconds each.
#
# `Annotation.discretize(support, resolution)` gives a row of zeros and ones a label, with a column for each frame. From each event's bounds it
# takes the frames whose middles are closest, both included. A bound that lies where two frames meet is as close to either; the tie is broken
# towards the even number (numpy.rint in SlidingWindow.closest_frame), and the frame behind an offset counts as part of the event. So, at a
# resolution of 1 s,
# - 2 to 3 s is second 2, and 3 to 4 s are seconds 2, 3 and 4; 2 to 4 and 3 to 5 s are seconds 2, 3 and 4 both;
# - of the 36 events with whole bounds within 8 s, 10 are right, 16 have a second too many, and 10 have two, one on either side;
# - events of two labels that only meet, 2 to 4 and 4 to 6 s, share second 4;
# - 9 s have 8 columns. (`duration=9` gives 9, as documented, and leaves the events as they are.)
# At the default of 0.01 s, each such event has one frame too many, and 10 s have 999. The help speaks of rounding errors for the number of frames
# alone; but 2, 3 and 4 are exact, and events whose bounds are those of frames, as annotations by the second are, meet a tie each time.
#
# What to do: compare the frames' middles with the events, as (onset <= middle) & (middle < offset), which is exact for such events.
#
# Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" "pyannote.core==6.1.0" "numpy==2.2.6"
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys
from collections import Counter
from importlib.metadata import version
from itertools import combinations

import numpy as np
from pyannote.core import Annotation, Segment


def discrete(*events: tuple[float, float, str], of: float = 10, resolution: float = 1.0, **settings: float) -> list[list[int]]:
    "For each label the numbers of the frames that have it, and the number of all frames."
    annotation = Annotation()
    for k, (onset, offset, label) in enumerate(events):
        annotation[Segment(onset, offset), k] = label
    frames = annotation.discretize(Segment(0, of), resolution=resolution, labels=sorted({label for *_, label in events}), **settings)
    return [np.flatnonzero(column).tolist() for column in frames.data.T] + [len(frames.data)]


print(f"pyannote.core {version('pyannote.core')}, numpy {version('numpy')}")
seen = {bounds: discrete((*bounds, "bark"))[0] for bounds in combinations(range(9), 2)}
by_hand = {(on, off): [k for k in range(10) if on <= k + 0.5 < off] for on, off in seen}
assert all(by_hand[on, off] == list(range(on, off)) for on, off in seen)
for bounds in ((2, 3), (3, 4), (2, 4), (3, 5), (4, 6)):
    print(f"{bounds[0]} to {bounds[1]} s: seconds {seen[bounds]}")
too_many = Counter(len(frames) - (off - on) for (on, off), frames in seen.items())
print(f"seconds too many, of {len(seen)} events: {dict(sorted(too_many.items()))}")
meeting = discrete((2, 4, "bark"), (4, 6, "meow"))[:2]
print(f"bark from 2 to 4 s, meow from 4 to 6 s: seconds {meeting}")
nine = [discrete((3, 5, "bark"), of=9, **settings) for settings in ({}, {"duration": 9})]
print(f"of 9 s: {nine[0][1]} columns, with duration=9 {nine[1][1]}, of which the event from 3 to 5 s has {nine[1][0]}")
fine = Counter(len(discrete((*bounds, "bark"), resolution=0.01)[0]) - 100 * (bounds[1] - bounds[0]) for bounds in seen)
print(f"at 0.01 s: frames too many {dict(fine)}, {discrete((3, 5, 'bark'), resolution=0.01)[1]} frames of 10 s")
three = [2, 3, 4]
described = (
    [seen[bounds] for bounds in ((2, 3), (3, 4), (2, 4), (3, 5))] == [[2], three, three, three]
    and too_many == {0: 10, 1: 16, 2: 10}
    and meeting == [three, [4, 5, 6]]
    and nine == [[three, 8], [three, 9]]
    and fine == {1: 36}
    and discrete((3, 5, "bark"), resolution=0.01)[1] == 999
)
if not described:
    sys.exit("changed: other frames than described")
print("as described: events with whole seconds become other ones")
PYTHON
