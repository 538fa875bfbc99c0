#!/usr/bin/env bash
# torchcodec 0.17.0: where a clip's sound has a gap, AudioDecoder puts what comes after it too early, or not, depending on where one begins.
#
# Sound may pause: a recorder loses some packets, or a part without sound was joined to others. The stamps in the container tell when it
# goes on, and players wait. In a clip of 8 s that has no sound from 2 to 4 s, and a click at 7 s,
# - `get_all_samples()` puts the samples end to end: the click lies at 5 s, and the sound lasts 6.0 s, where `metadata` says 8;
# - `get_samples_played_in_range(5, 8)` puts the same click at 7 s, where it belongs, and (1, 8) at 5 s;
# - with a range that begins in the gap, (3, 8), it depends on the container: in Matroska the samples begin at 4 s and the click is right;
#   in MP4, where the last packet before the gap is stored as if it lasted until sound goes on, they are said to begin at 3 s, last 3 s,
#   and the click lies at 5 s.
# Nothing is raised or warned of. VideoDecoder keeps the times of its frames, so from the gap on picture and sound are 2 s apart. Seen by
# comparing `duration_seconds` of all samples with that of the metadata.
#
# Needs FFmpeg's libraries (Debian: ffmpeg). Downloads some gigabytes. Fails when the behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" "torchcodec==0.17.0" "torch==2.15.0" "av==16.0.1" \
    "numpy==2.2.6"
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys
from fractions import Fraction
from importlib.metadata import version

import av
import numpy as np
from torchcodec.decoders import AudioDecoder, VideoDecoder

RATE, FRAME, CLIP_S, CLICK_S, GAP_S = 32000, 1024, 8, 7, (2, 4)
sound = np.zeros((1, CLIP_S * RATE), np.float32)
sound[0, CLICK_S * RATE : CLICK_S * RATE + 1600] = 0.6


def write(name: str, codec: str, form: str) -> None:
    "A clip whose picture goes on for 8 s, and whose packets of sound leave out what begins between 2 and 4 s."
    with av.open(name, "w") as out:
        picture, track = out.add_stream("libx264", rate=25), out.add_stream(codec, rate=RATE, layout="mono")
        picture.width = picture.height = 64
        picture.pix_fmt = "yuv420p"
        for k in range(CLIP_S * 25):
            out.mux(picture.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), k, np.uint8), format="rgb24")))
        out.mux(picture.encode())
        for first in range(0, sound.shape[1], FRAME):
            if GAP_S[0] * RATE <= first < GAP_S[1] * RATE:
                continue
            samples = np.ascontiguousarray(sound[:, first : first + FRAME])
            if form == "s16":
                samples = (samples * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format=form, layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), first
            out.mux(track.encode(frame))
        out.mux(track.encode())


def heard(name: str, *seconds: float) -> tuple[float, float, float]:
    "Where a range is said to begin, how long it is, and where its click lies by that."
    samples = AudioDecoder(name).get_samples_played_in_range(*seconds) if seconds else AudioDecoder(name).get_all_samples()
    at = int(np.flatnonzero(np.abs(samples.data[0].numpy()) > 0.1)[0])
    return round(samples.pts_seconds, 1), round(samples.duration_seconds, 1), round(samples.pts_seconds + at / samples.sample_rate, 1)


write("clip.mkv", "pcm_s16le", "s16")
write("clip.mp4", "aac", "fltp")
print(f"torchcodec {version('torchcodec')}")
seen = {}
for name in ("clip.mkv", "clip.mp4"):
    frame = VideoDecoder(name).get_frame_played_at(CLICK_S)
    lasts = AudioDecoder(name).metadata.duration_seconds
    print(f"{name}: {lasts:g} s by the metadata; the frame played at {CLICK_S} s begins at {frame.pts_seconds:g} s")
    for seconds in ((), (5, 8), (1, 8), (3, 8)):
        seen[name[-3:], seconds] = begins, lasts, click = heard(name, *seconds)
        print(f"  {'all' if not seconds else '%d to %d s' % seconds}: begins at {begins} s, lasts {lasts} s, click at {click} s")
described = {
    ("mkv", ()): (0.0, 6.0, 5.0),
    ("mkv", (5, 8)): (5.0, 3.0, 7.0),
    ("mkv", (1, 8)): (1.0, 5.0, 5.0),
    ("mkv", (3, 8)): (4.0, 4.0, 7.0),
    ("mp4", ()): (0.0, 6.0, 5.0),
    ("mp4", (5, 8)): (5.0, 3.0, 7.0),
    ("mp4", (1, 8)): (1.0, 5.0, 5.0),
    ("mp4", (3, 8)): (3.0, 3.0, 5.0),
}
if seen != described:
    sys.exit("changed: the click lies elsewhere than described")
print("as described: one click, 2 s apart by the range that was asked for")
PYTHON
