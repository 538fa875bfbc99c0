#!/usr/bin/env bash
# voxel51-eta 0.17.0 (what FiftyOne counts frames with): the last frame lies at the end of the video, and the way back takes its arguments
# in another order.
#
# `timestamp_to_frame_number(timestamp, duration, total_frame_count)` gives frame 1 + round(t / duration * (n - 1)), and
# `frame_number_to_timestamp(frame_number, total_frame_count, duration)` is its inverse. So
# - of 10 s at 25 frames a second, n = 250, frame 101, whose picture is shown from 4.000 s on, is said to lie at 4.016 s; the distance
#   grows along the video up to a whole frame: frame 250, shown from 9.960 to 10.000 s, lies at 10.000 s;
# - an event from 2.5 to 4.0 s is kept as frames [63, 101] and comes back as 2.490 to 4.016 s; one that ends where another begins overlaps
#   it by a frame, since both have frame 101;
# - the two functions are each other's inverse and name duration and number of frames in opposite orders: with the order of the first the
#   second answers 1722 s for a moment in a video of 10 s, and raises nothing.
#
# Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" "voxel51-eta==0.17.0" "setuptools<81"
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys
from importlib.metadata import version

from eta.core.frameutils import frame_number_to_timestamp, timestamp_to_frame_number

print(f"voxel51-eta {version('voxel51-eta')}")
DURATION, N = 10.0, 250  # 25 frames a second
frames = [timestamp_to_frame_number(t, DURATION, N) for t in (2.5, 4.0)]
next_first = timestamp_to_frame_number(4.0, DURATION, N)
back = [round(frame_number_to_timestamp(k, N, DURATION), 3) for k in frames]
late = [round(frame_number_to_timestamp(k, N, DURATION) - (k - 1) / 25, 3) for k in (1, 101, 250)]
swapped = frame_number_to_timestamp(63, DURATION, N)
print(f"2.5 to 4.0 s: frames {frames}, back {back}; an event from 4.0 s begins with frame {next_first}")
print(f"frames 1, 101 and 250 are put {late} s after their pictures appear")
print(f"with the other order of arguments frame 63 lies at {swapped:.0f} s of {DURATION:g}")
if (frames, back, next_first, late, round(swapped)) != ([63, 101], [2.49, 4.016], 101, [0.0, 0.016, 0.04], 1722):
    sys.exit("changed: frames are counted otherwise than described")
print("as described: times and frames of an event differ by up to a frame")
PYTHON
