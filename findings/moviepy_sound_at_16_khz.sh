#!/usr/bin/env bash
# moviepy 2.2.1: the sound of a clip, asked for at the 16 kHz of audio encoders, is one number.
#
# `AudioFileClip(file).to_soundarray(fps=16000)`, and so `VideoFileClip(file).audio`, reads the file at 44,100 Hz and looks up the samples
# that are asked for, 50,000 at a time. Where these span more than half of its buffer, which is the clip or 100,000 samples, the reader
# halves its work, and hands on, in place of the times, which of them lie within the clip: true is the moment 1 s. Of a tone of 0.2 s at
# 2 s, in a clip of 6 s, nothing is left: at 16 and 8 kHz every sample has the value of the one at 1 s, there is no warning, and the length
# is right; at 22,050 Hz and more the tone is where it belongs. Of 10 s it is the same; a clip of 1.5 s is lost at 32 kHz, too.
# All is well if the file is opened with the rate itself: `AudioFileClip(file, fps=16000)`, or, of a video,
# `VideoFileClip(file, audio_fps=16000)`.
#
# Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" "moviepy==2.2.1" "imageio-ffmpeg==0.6.0" "numpy==2.2.6"
cd "$folder"
"$folder/venv/bin/python" -W error::UserWarning - <<'PYTHON'
import sys
import wave
from importlib.metadata import version

import numpy as np
from moviepy import AudioFileClip

t = np.arange(6 * 44100) / 44100
sound = 0.2 * np.sin(2 * np.pi * 50 * t) + 0.7 * np.sin(2 * np.pi * 1000 * t) * ((t >= 2) & (t < 2.2))
with wave.open("clip.wav", "wb") as file:
    file.setnchannels(1), file.setsampwidth(2), file.setframerate(44100)
    file.writeframes((sound * 32767).astype("<i2").tobytes())


def described(clip: AudioFileClip, rate: int) -> tuple[int, int, float]:
    "Samples, how many values they have, and where the loudest is, s."
    sound = clip.to_soundarray(fps=rate)[:, 0]
    return len(sound), len(np.unique(sound)), round(float(np.abs(sound).argmax()) / rate, 1)


print(f"moviepy {version('moviepy')}")
seen = {rate: described(AudioFileClip("clip.wav"), rate) for rate in (8000, 16000, 22050, 44100)}
seen["16000, opened with it"] = described(AudioFileClip("clip.wav", fps=16000), 16000)
for rate, (n, values, loudest) in seen.items():
    print(f"at {rate}: {n} samples of {values} values, the loudest at {loudest} s")
lost = all(seen[rate][0] == 6 * rate and seen[rate][1] <= 2 for rate in (8000, 16000))
kept = all(seen[rate][1] > 100 and 2 <= seen[rate][2] <= 2.2 for rate in (22050, 44100, "16000, opened with it"))
if not (lost and kept):
    sys.exit("changed: the sound is other than described")
print("as described: at the rates below 22,050 Hz the sound is one number")
PYTHON
