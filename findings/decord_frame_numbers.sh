#!/usr/bin/env bash
# decord2 3.4.0 and decord 0.6.0: frame k of a clip that was cut without encoding is one picture in a loop, and another when it is asked for.
#
# A clip that begins between two key frames is stored from the key frame on, with a note (in MP4 an edit list) that the pictures before the cut
# are decoded and not shown. Of a clip cut from 3.3 to 13 s, with a key frame each 2 s, players show 242 pictures, the first that of 3.32 s.
# - VideoReader counts 275, the 33 hidden ones among them;
# - read one after the other, frame k is the k-th that is shown, and from 242 on it is the last one, again and again;
# - asked for by itself, or by `get_batch` of a few, frame 60 is the one shown 33 pictures earlier, at 1.08 s and not at 2.40 s, and so is every
#   one that a key frame has to be looked up for; the first ones, for which none has, are as in a loop;
# - `get_frame_timestamp` counts from the hidden ones (-1.32 s for frame 0), and so agrees with what is asked for and not with a loop.
# So frames that are sampled, as is usual for video encoders, lie up to a key frame's distance before the sound, which is cut where it should
# be; the same clip, read whole, does not.
# Of an MPEG transport stream the first group of pictures, up to the second key frame, cannot be had: frame 0 is that of 2 s, and the last is
# repeated 50 times more; here both ways agree. The same pictures in MP4, not cut, are right. Nothing is raised, and no warning is decord's.
#
# What to do: read with PyAV and take each frame's `time`; or encode clips when they are cut, and copy transport streams to MP4. A clip is of
# the first kind where the first timestamp is negative; nothing tells the second but the name of its format.
#
# Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/frames.py" <<'PYTHON'
import sys
from fractions import Fraction
from importlib.metadata import version

import av
import decord
import numpy as np

RATE, PICTURES, GROUP, CUT_S = 25, 400, 50, Fraction("3.3")
ASKED = (0, 10, 60, 100, 200)


def picture(k: int) -> np.ndarray:
    "Ten stripes, white where the number has a one."
    stripes = np.array([k >> bit & 1 for bit in range(10)], np.uint8) * 255
    return np.broadcast_to(np.repeat(stripes, 16)[None, :, None], (64, 160, 3))


def number(pixels: np.ndarray) -> int:
    "The number that a picture shows."
    stripes = pixels[8:-8, :, 0].mean(axis=0).reshape(10, 16)[:, 4:-4].mean(axis=1)
    return int(((stripes > 127) << np.arange(10)).sum())


def copied(name: str, begin_s: Fraction, end_s: int) -> None:
    "Packets of the whole video from the key frame before `begin_s` on, which becomes 0 s; nothing is encoded."
    with av.open("whole.mp4") as whole, av.open(name, "w") as out:
        source = whole.streams.video[0]
        track = out.add_stream_from_template(source)
        begin = round(begin_s / source.time_base)
        whole.seek(begin, stream=source)
        for packet in whole.demux(source):
            if packet.dts is not None and packet.pts * source.time_base < end_s:
                packet.pts, packet.dts, packet.stream = packet.pts - begin, packet.dts - begin, track
                out.mux(packet)


def shown(name: str) -> list[int]:
    with av.open(name) as clip:
        return [number(frame.to_ndarray(format="rgb24")) for frame in clip.decode(video=0)]


with av.open("whole.mp4", "w") as out:
    track = out.add_stream("libx264", rate=RATE, options={"g": str(GROUP), "sc_threshold": "0"})
    track.width, track.height, track.pix_fmt = 160, 64, "yuv420p"
    for k in range(PICTURES):
        out.mux(track.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture(k)), format="rgb24")))
    out.mux(track.encode())
copied("cut.mp4", CUT_S, 13)
copied("whole.ts", Fraction(0), 16)

package = sys.argv[1]
print(f"{package} {version(package)}, PyAV {av.__version__}; of frames {ASKED}:")
seen = {}
for name in ("whole.mp4", "cut.mp4", "whole.ts"):
    pictures = shown(name)
    reader = decord.VideoReader(name)
    loop = [number(reader[k].asnumpy()) for k in range(len(reader))]
    alone = [number(decord.VideoReader(name)[k].asnumpy()) for k in ASKED]
    batch = [number(frame) for frame in decord.VideoReader(name).get_batch(ASKED).asnumpy()]
    times = [round(float(t), 2) for t in reader.get_frame_timestamp(list(ASKED))[:, 0]]
    seen[name] = dict(
        counted=(len(pictures), len(reader)),
        shown=[pictures[k] for k in ASKED],
        loop=[loop[k] for k in ASKED],
        alone=alone,
        batch=batch,
        times=times,
        last=loop.count(loop[-1]),
    )
    print(f"{name}: {len(pictures)} pictures are shown, decord counts {len(reader)}; the last one is there {loop.count(loop[-1])} times")
    for what in ("shown", "loop", "alone", "batch", "times"):
        print(f"  {what:>5}: {seen[name][what]}")

right, late, hidden = [0, 10, 60, 100, 200], [50, 60, 110, 150, 250], [83, 93, 143, 183, 283]
even = [0.0, 0.4, 2.4, 4.0, 8.0]
asked = [83, 93, 110, 150, 250]
described = {
    "whole.mp4": dict(counted=(400, 400), shown=right, loop=right, alone=right, batch=right, times=even, last=1),
    "cut.mp4": dict(counted=(242, 275), shown=hidden, loop=hidden, alone=asked, batch=asked, times=[-1.32, -0.92, 1.08, 2.68, 6.68], last=35),
    "whole.ts": dict(counted=(400, 400), shown=right, loop=late, alone=late, batch=late, times=even, last=51),
}
if seen != described:
    sys.exit("changed: other frames than described")
print("as described: pictures of another moment than that of their number")
PYTHON
python3 -m venv "$folder/uv"
"$folder/uv/bin/pip" install --quiet uv==0.13.9
cd "$folder"
for package in decord2==3.4.0 decord==0.6.0; do # both bring the module decord
    python3 -m venv "$folder/${package%%=*}"
    "$folder/uv/bin/uv" pip install --quiet --python "$folder/${package%%=*}/bin/python" "$package" "av==18.1.0" "numpy==2.2.6"
    "$folder/${package%%=*}/bin/python" frames.py "${package%%=*}" 2>log || { cat log >&2; exit 1; }
done
