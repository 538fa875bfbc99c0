#!/usr/bin/env bash
# transformers 5.24.0: beside a clip of 25 frames a second, PE-AV's joint vector of a slower clip is made from pictures of another time.
#
# Before it looks at picture and sound together, PE-AV stretches the frames of each clip over its 25 tokens of sound a second (48,000 Hz by steps
# of 1,920), by nearest neighbour. The step is left out where the padded batch has as many frames as tokens (first lines of
# `_align_video_hidden_state` in modeling_pe_audio_video.py), whatever the single clips have. Of clips of 10 s, one of 25 frames a second
# is enough: for one of 15 in the same batch, picture k/15 s then goes with sound k/25 s, so that the sound of 5 s gets the picture of 8.33 s,
# and that of the last four seconds what padding left. In a batch of 30 frames a second for 10 s and of 25 for 12 s (300 frames, 300 tokens)
# pictures are moved the other way. Nothing is warned of. The masks that the processors make are handed over, and the vectors of picture alone
# and of sound alone do not change; beside clips of 24 or 30 frames a second the joint vector does not, either. So a clip has two vectors, and
# which one it gets depends on what it was batched with. The processors' default, all frames of each file, is what it takes: clips from the web
# are of 15, 24, 25 and 30 frames a second.
#
# What to do: give `get_audio_video_embeds` and `forward` one clip at a time, or clips that have the same number of frames and as much sound,
# or have the processor take a number of frames that is no number of tokens (`num_frames=16, do_sample_frames=True`).
#
# Made with random weights at a tiny size: the numbers are of that model, the moments of any. Downloads some gigabytes. Fails when it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" \
    "torch==2.15.0" "torchvision==0.29.2" "transformers==5.24.0" "timm==1.0.31" "numpy==2.4.6"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
import transformers

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
torch.manual_seed(0)
small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 8}
words = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2, "vocab_size": 40}
text = {"model_type": "modernbert", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2} | words
dac = {"model_type": "dac", "downsampling_ratios": [2, 8, 10, 12], "encoder_hidden_size": 2, "codebook_dim": 8, "hidden_size": 16}
vision = {"model_type": "timm_wrapper", "architecture": "test_vit", "num_classes": 20, "do_pooling": True, "global_pool": "map"}
audio = {"model_type": "pe_audio_encoder", "dac_config": dac} | small
video = {"model_type": "pe_video_encoder", "vision_config": vision | {"model_args": {"img_size": 32}}} | small
config = transformers.PeAudioVideoConfig(text_config=text, audio_video_config=small | {"audio_config": audio, "video_config": video})
model = transformers.PeAudioVideoModel(config).eval()
for weights in model.parameters():
    if weights.dim() > 1:
        torch.nn.init.xavier_normal_(weights)  # the model's own 0.02 lets hardly anything of a picture through
of_sound = transformers.PeAudioFeatureExtractor()
scale = {"do_resize": False, "do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
of_pictures = transformers.PeVideoVideoProcessor(**scale)
draw = torch.Generator().manual_seed(1)


def clip(frames_a_second: int, seconds: int = 10):
    noise = torch.randint(0, 256, (frames_a_second * seconds, 3, 32, 32), generator=draw, dtype=torch.uint8)
    pictures = torch.where(torch.arange(len(noise)).view(-1, 1, 1, 1) < len(noise) // 2, noise // 16, noise)  # dark, then light
    return pictures, (0.1 * torch.randn(seconds * 48_000, generator=draw)).numpy()


def vectors_of_first(*clips) -> dict[str, torch.Tensor]:
    "The three vectors of the first of these clips, which are one batch."
    batch = of_pictures([pictures for pictures, _ in clips], return_tensors="pt")
    batch |= of_sound([sound for _, sound in clips], sampling_rate=48_000, return_tensors="pt")
    with torch.inference_mode():
        of = model.get_audio_video_embeds(**batch, return_audio_embeds=True, return_video_embeds=True)
    return {"joint": of.audio_video_embeds[0], "sound": of.audio_embeds[0], "picture": of.video_embeds[0]}


def changed_by(first, *others) -> dict[str, float]:
    "How far each vector moves, in its own lengths, when others are in the batch."
    alone, beside = vectors_of_first(first), vectors_of_first(first, *others)
    return {name: round(float((beside[name] - alone[name]).norm() / alone[name].norm()), 4) for name in alone}


print(f"transformers {transformers.__version__}: how far the vectors of a clip move in a batch")
at_15, at_30 = clip(15), clip(30)
seen = {
    "15 fps beside 15 fps": changed_by(at_15, clip(15)),
    "15 fps beside 24 fps": changed_by(at_15, clip(24)),
    "15 fps beside 25 fps": changed_by(at_15, clip(25)),
    "15 fps beside 30 fps": changed_by(at_15, at_30),
    "30 fps beside 25 fps": changed_by(at_30, clip(25)),
}
for name, moved in seen.items():
    print(f"{name:>20}: {moved}")

# The same step with the times of the frames in place of their vectors.
align = model.audio_video_encoder.embedder._align_video_hidden_state


def pictures_at(fps: int, widest: int, tokens: int = 250) -> list[float]:
    "When the pictures were taken that go with the sound of 2.5, 5 and 7.5 s of a clip of 10 s, in a batch of so many frames and tokens."
    times = torch.full((1, widest, 1), torch.nan)  # nan: padding
    times[0, : 10 * fps, 0] = torch.arange(10 * fps) / fps
    mask, mask_of_sound = ~times[..., 0].isnan(), torch.arange(tokens)[None] < 250
    out = align(times, torch.zeros(1, tokens, 1), padding_mask_videos=mask, padding_mask=mask_of_sound)
    return [round(float(out[0, int(25 * second), 0]), 2) for second in (2.5, 5, 7.5)]


batches = {(15, 150, 250): [2.47, 5.0, 7.47], (15, 250, 250): [4.13, 8.33, None], (15, 300, 250): [2.47, 5.0, 7.47]}
batches |= {(30, 300, 250): [2.47, 5.0, 7.47], (30, 300, 300): [2.07, 4.17, 6.23]}
moments = {batch: [None if time != time else time for time in pictures_at(*batch)] for batch in batches}
for (fps, widest, tokens), times in moments.items():
    print(f"{fps} fps in a batch of {widest} frames and {tokens} tokens: with the sound of 2.5, 5 and 7.5 s go the pictures of {times}")
joint = {name: moved.pop("joint") for name, moved in seen.items()}
if any(max(moved.values()) > 1e-3 for moved in seen.values()):
    sys.exit("changed: the vectors of one sense depend on the batch, too")
if joint.pop("15 fps beside 25 fps") < 0.05 or max(joint.values()) > 1e-3:
    sys.exit("changed: other joint vectors depend on the batch")
if moments != batches:
    sys.exit("changed: other pictures go with the sound")
print("as described: beside a clip of 25 frames a second the pictures of a slower one are moved")
PYTHON
