#!/usr/bin/env bash
# transformers 5.24.0: CLAP's feature extractor, as the fused checkpoints configure it, prepares the same short sounds differently each time.
#
# Seen: with truncation="fusion" and no sound longer than the model's window, ClapFeatureExtractor draws one of the batch by lot and marks it as
# longer than it is (is_longer). The model then sends that sound through its fusion branch, and its vector differs from the others' by as much as
# vectors differ at all: for a sound by itself the mark is always set, in a batch of two for one of them, numpy's global random state decides which. Embeddings of a
# batch are therefore neither repeatable nor those of its sounds one by one. Setting is_longer to False before the model is called makes
# them so.
#
# Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" "torch==2.15.0" "transformers==5.24.0" "numpy<3"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import torch
import transformers
from transformers import ClapAudioConfig, ClapAudioModelWithProjection, ClapFeatureExtractor

transformers.logging.set_verbosity_error()
print(f"transformers {transformers.__version__}")
extractor = ClapFeatureExtractor(feature_size=16, max_length_s=2, truncation="fusion")
torch.manual_seed(0)
sizes = dict(hidden_size=32, patch_embeds_hidden_size=16, depths=[1, 1], num_attention_heads=[2, 2], window_size=4, spec_size=64)
config = ClapAudioConfig(**sizes, patch_size=4, patch_stride=[4, 4], projection_dim=24, num_mel_bins=16, enable_fusion=True)
model = ClapAudioModelWithProjection(config).eval()
sounds = [0.1 * np.random.default_rng(seed).standard_normal(48_000).astype(np.float32) for seed in (0, 1)]
marks, vectors, marked_alone = set(), [], True
for _ in range(30):
    inputs = extractor(sounds, sampling_rate=48_000, return_tensors="pt")
    marks.add(tuple(inputs["is_longer"].flatten().tolist()))
    with torch.inference_mode():
        vectors.append(model(**inputs).audio_embeds)
    alone = extractor(sounds[:1], sampling_rate=48_000, return_tensors="pt")
    marked_alone = marked_alone and bool(alone["is_longer"].all())
spread = max(float((v - vectors[0]).abs().max()) for v in vectors)
print(f"30 calls with the same two sounds of 1 s: marks {sorted(marks)}; vectors differ by up to {spread:.2f} of {float(vectors[0].abs().max()):.2f}")
print(f"a sound by itself is marked as longer: {marked_alone}")
if marks != {(True, False), (False, True)} or not marked_alone or spread < 1e-3:
    sys.exit("changed: the mark is no longer drawn")
print("as described: which sound is marked is drawn by lot")
PYTHON
