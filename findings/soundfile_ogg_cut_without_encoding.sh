#!/usr/bin/env bash
# soundfile 0.14.0 (libsndfile 1.2.2) and librosa 0.11.0: in a clip of Ogg Vorbis that ffmpeg cut without encoding, a sound has one time when the
# file is read whole, and another when it is read from an offset.
#
# `ffmpeg -ss 2 -i long.ogg -c copy clip.ogg` can begin only where a page of the file does, here most of a second early, and notes so by stamps that
# begin before zero (granule positions smaller than the samples up to there). What comes from an offset is found by the stamps; what is read from
# the beginning is counted, and the early piece is not taken away. Of a clip of 18 s, in which a beep should lie at 6 s,
# - soundfile.read(clip) has the beep at 6.94 s. The number of samples is that of the stamps, 18 s, so that the last 0.94 s are lost;
# - soundfile.read(clip, start=5 * rate), and a read after seek(), have it at 6.00 s, librosa.load(clip, offset=5) likewise, while librosa.load(clip)
#   has it at 6.94. So windows that are read one by one do not agree with those that are cut from the whole.
# - Offsets in the first pages count, too, but are 0.02 s off to either side: windows of one second do not meet.
# How early the piece begins depends on the cut: up to a second, as long as a page. With Opus the same command makes files that soundfile refuses
# ("Supported file format but file is malformed"); clips of MP3 agree. Nothing is warned of. Of such a clip `soundfile.info` and ffprobe tell the
# same duration. Strictly, Vorbis allows only part of the first two packets to lie before zero; ffmpeg writes more, and plays it.
# Near to it: xiph/vorbis issue 60 (open), of libvorbisfile, for a file whose stamps begin above zero.
#
# What to do: cut while encoding (to FLAC or WAV), or with -ss behind -i, which begins up to 0.05 s late (here 0.04) but has one clock. For clips
# that are there already read with PyAV, whose frames have times, and leave out what lies before zero, as below.
#
# Seen with ffmpeg 9.0.2 as imageio-ffmpeg 0.8.1 brings it, and with Debian's 5.1. Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" \
    "soundfile==0.14.0" "librosa==0.11.0" "av==18.1.0" "imageio-ffmpeg==0.8.1" "numpy==2.4.6"
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import subprocess
import sys

import av
import imageio_ffmpeg
import librosa
import numpy
import soundfile

RATE = 44_100


def ffmpeg(*arguments: str) -> None:
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments], check=True)


def beep_at(sound, begins: float = 0.0) -> float | None:
    "When the beep begins, given when the sound does."
    loud = numpy.flatnonzero(numpy.abs(sound) > 0.2)
    return round(begins + float(loud[0]) / RATE, 2) if len(loud) else None


def by_times(file: str) -> numpy.ndarray:
    "All samples from zero on by the times of PyAV's frames."
    with av.open(file) as container:
        frames = [(round(frame.time * RATE), frame.to_ndarray()[0]) for frame in container.decode(audio=0)]
    sound = numpy.zeros(max(first + len(samples) for first, samples in frames), numpy.float32)
    for first, samples in frames:
        sound[max(first, 0) : max(first + len(samples), 0)] = samples[max(-first, 0) :]
    return sound


draw = numpy.random.default_rng(0)
long = 0.02 * draw.standard_normal(20 * RATE)
beep = 0.5 * numpy.sin(2 * numpy.pi * 1000 * numpy.arange(RATE // 5) / RATE)
for second in (8, 19.5):
    long[int(second * RATE) :][: len(beep)] += beep
soundfile.write("long.wav", long, RATE)
ffmpeg("-i", "long.wav", "-c:a", "libvorbis", "-q:a", "5", "long.ogg")
ffmpeg("-ss", "2", "-i", "long.ogg", "-c", "copy", "clip.ogg")  # the beeps at 6 and 17.5 s
ffmpeg("-i", "long.ogg", "-ss", "2", "-c", "copy", "behind.ogg")
ffmpeg("-i", "long.wav", "-c:a", "libopus", "long.opus")
ffmpeg("-ss", "5.5", "-i", "long.opus", "-c", "copy", "clip.opus")

print(f"soundfile {soundfile.__version__}, {soundfile.__libsndfile_version__}; librosa {librosa.__version__}; av {av.__version__}")
whole, _ = soundfile.read("clip.ogg")
with soundfile.SoundFile("clip.ogg") as file:
    file.seek(5 * RATE)
    after_seek = file.read(2 * RATE)
seen = {
    "soundfile, whole": beep_at(whole),
    "soundfile, from 5 s": beep_at(soundfile.read("clip.ogg", start=5 * RATE, frames=2 * RATE)[0], 5),
    "soundfile, after seek": beep_at(after_seek, 5),
    "librosa, whole": beep_at(librosa.load("clip.ogg", sr=None)[0]),
    "librosa, from 5 s": beep_at(librosa.load("clip.ogg", sr=None, offset=5, duration=2)[0], 5),
    "PyAV, by times": beep_at(by_times("clip.ogg")),
}
for name, when in seen.items():
    print(f"{name:>22}: the beep at {when} s")
last = {"soundfile, whole": beep_at(whole[8 * RATE :], 8), "PyAV, by times": beep_at(by_times("clip.ogg")[8 * RATE :], 8)}
print(f"{len(whole) / RATE} s, said to be {soundfile.info('clip.ogg').duration}; the beep at 17.5 s: {last}")
behind = [beep_at(soundfile.read("behind.ogg")[0]), beep_at(soundfile.read("behind.ogg", start=5 * RATE, frames=2 * RATE)[0], 5)]
print(f"with -ss behind -i: whole {behind[0]}, from 5 s {behind[1]}")
try:
    soundfile.read("clip.opus")
except soundfile.LibsndfileError as error:
    print(f"of Opus: {error}")
else:
    sys.exit("changed: soundfile reads a clip of Opus")

right = {name: 6.0 for name in seen} | {"soundfile, whole": 6.94, "librosa, whole": 6.94}
if seen != right:
    sys.exit("changed: the beep has other times")
if last != {"soundfile, whole": None, "PyAV, by times": 17.5} or len(whole) != 18 * RATE:
    sys.exit("changed: the end of the sound is another")
if behind[0] != behind[1] or not 5.9 < behind[0] < 6:
    sys.exit("changed: a clip cut with -ss behind -i has two clocks")
print("as described: the sound of a clip has one time in the whole, and another from an offset")
PYTHON
