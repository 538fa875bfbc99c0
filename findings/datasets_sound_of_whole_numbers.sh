#!/usr/bin/env bash
# datasets 5.2.0: sound that is handed to its feature Audio as 16-bit numbers comes back as a square wave, where 3.6.0 kept it.
#
# Audio takes a dictionary with "array" and "sampling_rate", and stores a WAV file. Since datasets writes it with torchcodec's AudioEncoder, which
# wants samples between -1 and 1, the array is made float32 first and is not divided (`encode_example` in features/audio.py): of int16, which
# scipy.io.wavfile.read gives, each number but 0 is beyond the range and becomes -1 or 1. A tone of amplitude 0.37 that fades within a second
# is as loud as can be from its begin to its end, with three values, and its energy 16 dB too high; of int32, -1 throughout, with no tone left.
# Dataset.from_dict, cast_column and map do it alike; nothing is raised or warned of, and rate and length are right. With datasets 3.6.0, which
# wrote with soundfile, int16 and int32 came back as they were, divided by full scale; the documentation says "Array containing the audio sample".
#
# In the same place float samples beyond 1, which decoders of MP3 and AAC and resamplers give for loud sound, are cut, and all are stored with
# 16 bits, so that nothing is left of a tone of 1e-5. That was so with 3.6.0, too.
#
# What to do: divide before (int16 by 32768), or give the path of the file instead of its samples; keep what may exceed 1 in a column of
# numbers, List(Value("float32")).
#
# Downloads some gigabytes. Needs FFmpeg's libraries (Debian: ffmpeg). Fails when the behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/uv"
"$folder/uv/bin/pip" install --quiet uv==0.13.9
cd "$folder"
cat >sound.py <<'PYTHON'
import sys
import wave

import datasets
import numpy as np
from datasets import Audio, Dataset, Features
from scipy.io import wavfile

RATE = 16_000
t = np.arange(2 * RATE) / RATE
fading = 12_000 / 32_768 * np.sin(2 * np.pi * 440 * t) * np.clip(1 - t, 0, None)  # silent from 1 s on
with wave.open("tone.wav", "wb") as file:
    file.setnchannels(1), file.setsampwidth(2), file.setframerate(RATE)
    file.writeframes((fading * 32_768).astype("<i2").tobytes())
rate, numbers = wavfile.read("tone.wav")


def back(samples: np.ndarray) -> np.ndarray:
    "What a data set of one sound gives."
    table = {"audio": [{"array": samples, "sampling_rate": rate}]}
    return np.asarray(Dataset.from_dict(table, features=Features({"audio": Audio()}))[0]["audio"]["array"])


SOUNDS = {
    "int16": numbers,
    "int16, divided": numbers / 32_768,
    "int32": numbers.astype(np.int32) * 65_536,
    "float of 1.6": 1.6 * np.sin(2 * np.pi * 440 * t),
    "float of 1e-5": 1e-5 * np.sin(2 * np.pi * 440 * t),
}
print(f"datasets {datasets.__version__}; the tone has an amplitude of {np.abs(fading).max():.2f}")
seen = {}
for name, samples in SOUNDS.items():
    sound = back(samples)
    assert len(sound) == len(samples)
    louder = 10 * np.log10(max(np.mean(sound**2), 1e-30) / np.mean(fading**2))
    seen[name] = len(np.unique(sound)), round(float(np.abs(sound).max()), 2), round(float(np.abs(sound[RATE:]).max()), 2), round(float(louder))
    print(f"{name:>15}: {seen[name][0]} values, at most {seen[name][1]}, {seen[name][2]} in the silent second; energy {seen[name][3]:+} dB")
right = len(np.unique(numbers)), 0.37, 0.0, 0
described = {"int16": right, "int16, divided": right, "int32": right, "float of 1.6": (87, 1.0, 1.0, 18)}
if datasets.__version__ == "5.2.0":
    described |= {"int16": (3, 1.0, 0.0, 16), "int32": (2, 1.0, 0.0, 16)}
quiet = seen.pop("float of 1e-5")
if seen != described or quiet[0] > 2 or right[0] < 10_000:
    sys.exit("changed: other sound than described")
PYTHON
for with in "datasets==5.2.0 torch==2.15.0 torchcodec==0.17.0" "datasets==3.6.0 soundfile==0.14.0 librosa==0.11.0"; do
    name=${with%% *}
    python3 -m venv "$name"
    "$folder/uv/bin/uv" pip install --quiet --python "$name/bin/python" $with "numpy==2.2.6" "scipy==1.17.1"
    HF_HUB_OFFLINE=1 HF_HOME="$folder/home" "$name/bin/python" -W error::UserWarning sound.py
done
echo "as described: whole numbers become a square wave in 5.2.0"
