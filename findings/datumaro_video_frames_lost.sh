#!/usr/bin/env bash
# datumaro 1.13.12: a look at one frame of a video takes the frames before it away, from the loop that follows and from the data set.
#
# `Video` and the data set that `Dataset.import_from(file, "video_frames")` makes are looped over like a list, and give a frame by its number or name.
# Until a loop has come to the end of the file once, all these share one reader, and a loop goes on where the last one stood (`__iter__` and
# `_get_iterator` in components/media.py). Of a clip of 20 frames, 0 to 19,
# - `next(iter(video))`, to see how large the pictures are, and a loop: 19 frames, from 1 on. `video[12]` and a loop: 7 frames, from 13 on;
# - two loops over the first five frames (itertools.islice) give 0 to 4, and then 5 to 9; `zip(video, video)` pairs 0 with 1, 2 with 3;
# - with `data` of the frame before read in the loop, as a difference of pictures does it, each frame but the first comes twice;
# - `dataset.get("000012", "default")` and a loop: 8 items, and 8 they stay: len(dataset) is 8, frame 5 is None, and what is exported are 8 pictures.
# `Video.length` leaves out the last frame where the step does not divide the number of frames: 6 for 20 frames by step 3, of which the loop gives 7.
# After a loop from the beginning to the end, all of this works. Nothing is warned of; the names of the frames that are left are right.
#
# What to do: run through once before anything else, `for frame in video: pass` or `dataset.init_cache()`; or make a `Video` anew for each loop.
#
# Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" "datumaro==1.13.12" "av==18.1.0" "numpy==2.4.6"
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import itertools
import os
import sys
from importlib.metadata import version

import av
import datumaro
import numpy
from datumaro.components.media import Video

with av.open("clip.mp4", "w") as container:
    stream = container.add_stream("mpeg4", rate=10)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    for number in range(20):
        picture = numpy.full((48, 64, 3), 10 * number + 20, numpy.uint8)  # each frame brighter than the one before
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    container.mux(stream.encode(None))


def clip(**settings) -> Video:
    return Video("clip.mp4", **settings)


def numbers(frames) -> list[int]:
    return [frame.index for frame in frames]


seen = {"a loop": numbers(clip())}
video = clip()
next(iter(video))
seen["next(iter(video)), a loop"] = numbers(video)
video = clip()
video[12]
seen["video[12], a loop"] = numbers(video)
seen["another loop"] = numbers(video)
video = clip()
seen["five frames"], seen["five frames again"] = numbers(itertools.islice(video, 5)), numbers(itertools.islice(video, 5))
video = clip()
seen["zip(video, video)"] = [(first.index, second.index) for first, second in zip(video, video)]
video, before, seen["with the data of the frame before"] = clip(), None, []
for frame in video:
    seen["with the data of the frame before"].append(frame.index)
    if before is not None:
        before.data
    before = frame
print(f"datumaro {version('datumaro')}: numbers of frames of a clip of 20")
for name, which in seen.items():
    print(f"{name}: {len(which)}, {str(which)[:60]}")
video = clip(step=3)
by_three = len(numbers(video)), video.length
print(f"step 3: frames in a loop, length: {by_three}")


def dataset():
    return datumaro.Dataset.import_from("clip.mp4", "video_frames")


def exported(items) -> int:
    items.export("pictures", "image_dir", save_media=True)
    return len(os.listdir("pictures"))


looked = dataset()
looked.get("000012", "default")
loop = sorted(item.id for item in looked)
kept = len(looked), looked.get("000005", "default"), exported(looked)
print(f"get of an item, a loop: {len(loop)} from {loop[0]}; length, item of frame 5, pictures exported: {kept}")
first = dataset()
first.init_cache()
first.get("000012", "default")
after_cache = len(first)
brightness = [item.media.data.mean() for item in first]
print(f"after init_cache: {after_cache} items; brighter from one to the next: {bool((numpy.diff(brightness) > 5).all())}")

right = list(range(20))
expected = {
    "a loop": right,
    "next(iter(video)), a loop": right[1:],
    "video[12], a loop": right[13:],
    "another loop": right,
    "five frames": right[:5],
    "five frames again": right[5:10],
    "zip(video, video)": list(zip(right[::2], right[1::2])),
}
twice = seen.pop("with the data of the frame before")
if seen != expected:
    sys.exit("changed: a loop gives other frames")
if sorted(twice) != sorted(right + right[1:]):
    sys.exit("changed: the frame before can be read in a loop")
if by_three != (7, 6):
    sys.exit("changed: the length by steps is another")
if len(loop) != 8 or kept[0] != 8 or kept[1] is not None or kept[2] != 8:
    sys.exit("changed: the data set has other items")
if after_cache != 20 or not (numpy.diff(brightness) > 5).all():
    sys.exit("changed: the way out does not lead out")
print("as described: a look at one frame takes those before it away")
PYTHON
