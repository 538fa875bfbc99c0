#!/usr/bin/env bash
# decord 0.6.0: of its two readers of sound one keeps the time at which a clip's sound begins, and the other loses it.
#
# The sound of a clip need not begin where its picture does: cut without encoding again, or recorded by two devices, its first sample has
# a time of its own in the container. In a clip of 6 s whose sound begins at 1.5 s and has a click 1 s later, `AVReader` gives each frame
# of the picture its piece of sound and puts the click at 2.5 s; `AudioReader`, the one that reads sound alone, begins with the first
# sample there is, puts the click at 1.0 s, and has no way to ask how much was left out: `shape` and `duration()` are those of the 4 s.
# With windows of the picture taken by `VideoReader`, as is usual, every window is compared with sound of 1.5 s later.
#
# Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" "decord==0.6.0" "av==16.0.1" "numpy==2.2.6"
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from fractions import Fraction
from importlib.metadata import version

import av
import decord
import numpy as np

RATE, BEGINS_S, CLICK_S = 16000, 1.5, 1.0
sound = np.zeros((1, 4 * RATE), np.int16)
sound[0, int(CLICK_S * RATE) : int((CLICK_S + 0.05) * RATE)] = 20000
with av.open("clip.mkv", "w") as out:
    picture, track = out.add_stream("libx264", rate=25), out.add_stream("flac", rate=RATE, layout="mono")
    picture.width = picture.height = 64
    picture.pix_fmt = "yuv420p"
    for k in range(150):
        out.mux(picture.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), k, np.uint8), format="rgb24")))
    out.mux(picture.encode())
    for first in range(0, sound.shape[1], 4000):
        frame = av.AudioFrame.from_ndarray(sound[:, first : first + 4000], format="s16", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), first + int(BEGINS_S * RATE)
        out.mux(track.encode(frame))
    out.mux(track.encode())
with av.open("clip.mkv") as clip:
    print(f"in the container the sound begins at {float(clip.streams.audio[0].start_time * clip.streams.audio[0].time_base):g} s")


def click(samples: np.ndarray) -> float:
    return round(float(np.flatnonzero(np.abs(samples) > 0.1)[0]) / RATE, 2)


alone = decord.AudioReader("clip.mkv", sample_rate=RATE, mono=True)
pieces, _ = decord.AVReader("clip.mkv", sample_rate=RATE, mono=True)[:]
beside = np.concatenate([piece.asnumpy() for piece in pieces], axis=1)[0]
seen = {"AudioReader": click(alone[:].asnumpy()[0]), "AVReader": click(beside)}
print(f"decord {version('decord')}: {len(pieces)} frames, sound of {alone.shape[1] / RATE:g} s; the click lies at {seen}")
if seen != {"AudioReader": CLICK_S, "AVReader": BEGINS_S + CLICK_S}:
    sys.exit("changed: the click lies elsewhere than described")
print("as described: 1.5 s apart, in one package")
PYTHON
