#!/usr/bin/env bash
# imageio 2.38.1, plugin pyav: a clip that was cut without encoding ends with pictures of another file, and frame k by its index is another frame
# where the picture does not begin at 0 s.
#
# imageio takes this plugin by itself where imageio-ffmpeg is not installed, and for .ts and .flv always.
# 1. `imread(clip)` makes an array for as many frames as the container has, and fills it with those that are shown (`np.empty` in `read`,
#    imageio/plugins/pyav.py). A cut between key frames leaves frames that are not shown: of a clip cut from 3.3 to 13 s a loop by `imiter` gives
#    242, and the array has 275 (`improps` says so, too). The last 33 are what the memory held: black in the first clip, and, in a loop
#    over clips of some megabytes, pictures of the clip before. (Larger arrays get fresh memory: black.) They look like pictures, and go into a
#    mean over the clip, or into its last windows.
# 2. `imread(clip, index=k)` seeks by time, for the rate is constant, and takes frame k to be at k / rate, whenever the first one is. So in a
#    fragmented MP4 with B-frames, as streaming services have them, and in FLV (the picture begins at 0.08 s) frame 60 is frame 58; in a transport
#    stream it is frame 100, and frame 10 frame 50; in Matroska whose picture begins 2 s after its sound, frame 60 is frame 10. The last frame is
#    another one, or raises StopIteration. With `constant_framerate=False` all are right, although the rate is constant.
# Nothing is warned of; MP4 that is neither cut nor fragmented is right. (The documentation says of B-frames that they "may cause problems".)
#
# What to do: loop with `imiter`, and count what comes; for single frames give `constant_framerate=False`, or take PyAV's frames and their `time`.
#
# Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" "imageio==2.38.1" "av==18.1.0" "numpy==2.4.6"
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import av
import imageio
import imageio.v3 as iio
import numpy

RATE, PICTURES, GROUP = 25, 400, 50
ASKED = (1, 10, 60, 120)
OTHER = 1 << 10  # the pictures of the other file are numbered from here


def picture(number: int) -> numpy.ndarray:
    "Stripes from left to right, white where the number has a one."
    stripes = numpy.array([number >> bit & 1 for bit in range(11)], numpy.uint8) * 255
    return numpy.ascontiguousarray(numpy.broadcast_to(numpy.repeat(stripes, 16)[None, :, None], (64, 176, 3)))


def number(pixels: numpy.ndarray) -> int:
    "The number that a picture shows."
    stripes = pixels[8:-8, :, 0].mean(axis=0).reshape(11, 16)[:, 4:-4].mean(axis=1)
    return int(((stripes > 127) << numpy.arange(11)).sum())


def encoded(name: str, numbers) -> None:
    with av.open(name, "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"g": str(GROUP), "bf": "2", "sc_threshold": "0"})
        stream.width, stream.height, stream.pix_fmt = 176, 64, "yuv420p"
        for which in numbers:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(which), format="rgb24")))
        container.mux(stream.encode(None))


def copied(name: str, zero_s: float = 0.0, end_s: float = 16.0, **options: str) -> None:
    "The packets of the whole from the key frame before zero_s on, whose time becomes 0; nothing is encoded."
    with av.open("whole.mp4") as whole, av.open(name, "w", options=options) as out:
        source = whole.streams.video[0]
        track = out.add_stream_from_template(source)
        zero = round(zero_s / source.time_base)
        whole.seek(max(zero, 0), stream=source)
        for packet in whole.demux(source):
            if packet.dts is not None and packet.pts * source.time_base < end_s:
                packet.pts, packet.dts, packet.stream = packet.pts - zero, packet.dts - zero, track
                out.mux(packet)


def begins(name: str) -> float:
    with av.open(name) as container:
        return round(float(next(container.decode(video=0)).time), 2)


def by_index(name: str, index: int, **how) -> int | str:
    try:
        return number(iio.imread(name, index=index, plugin="pyav", **how))
    except StopIteration:
        return "StopIteration"


print(f"imageio {imageio.__version__}, av {av.__version__}")
encoded("whole.mp4", range(PICTURES))
encoded("other.mp4", [OTHER + k for k in range(PICTURES)])
copied("cut.mp4", 3.3, 13)
copied("fragmented.mp4", movflags="frag_keyframe+empty_moov")
copied("whole.flv")
copied("whole.ts")
copied("late.mkv", -2)

cut = [number(frame) for frame in iio.imiter("cut.mp4", plugin="pyav")]
for name in ("other.mp4", "other.mp4", "cut.mp4"):
    whole = [number(frame) for frame in iio.imread(name, plugin="pyav")]
tail = whole[len(cut) :]
of_other = sum(which >= OTHER for which in tail)
said = iio.improps("cut.mp4", plugin="pyav").shape[0]
print(f"1. cut: {len(cut)} frames in a loop, from {cut[0]} to {cut[-1]}; {len(whole)} read at once, {said} in improps")
print(f"   the last {len(tail)} are: {of_other} of the other file, {tail.count(0)} black")
print(f"2. frames asked for: {ASKED} and the last one")
seen, slow, first = {}, {}, {}
for name in ("whole.mp4", "fragmented.mp4", "whole.flv", "whole.ts", "late.mkv"):
    loop = [number(frame) for frame in iio.imiter(name, plugin="pyav")]
    if loop != list(range(PICTURES)):
        sys.exit(f"changed: a loop over {name} gives other frames")
    asked = (*ASKED, PICTURES - 1)
    seen[name] = [by_index(name, index) for index in asked]
    slow[name] = [by_index(name, index, constant_framerate=False) for index in asked]
    first[name] = begins(name)
    print(f"   {name:>14}, which begins at {first[name]} s: {seen[name]}; with constant_framerate=False {slow[name]}")

if len(cut) != 242 or whole[: len(cut)] != cut or said != len(whole) or len(whole) != 275:
    sys.exit("changed: as many frames are read at once as in a loop")
if of_other + tail.count(0) != 33:
    sys.exit("changed: after the last frame comes something else")
expected = {
    "whole.mp4": [1, 10, 60, 120, 399],
    "fragmented.mp4": [1, 8, 58, 118, 397],
    "whole.flv": [1, 8, 58, 118, "StopIteration"],
    "whole.ts": [1, 50, 100, 150, "StopIteration"],
    "late.mkv": [1, 0, 10, 70, 349],
}
if seen != expected:
    sys.exit("changed: an index gives another frame")
if any(frames != expected["whole.mp4"] for frames in slow.values()):
    sys.exit("changed: the way out does not lead out")
if list(first.values()) != [0.0, 0.08, 0.08, 0.08, 2.0]:
    sys.exit("changed: the files begin at other times")
print("as described: a cut clip ends with other pictures, and an index counts from 0 s")
PYTHON
