#!/usr/bin/env bash
# transformers 5.24.0: with `num_frames`, Qwen2.5-Omni and Qwen3-Omni get the pictures of a video at other times than its sound.
#
# The processors of both models lay picture and sound of a video on one time axis: each pair of frames is given a time, and the tokens of sound and
# picture are sorted by it (`load_audio_from_video=True`); the model turns the same times into positions. The distance of two pairs comes from the
# argument `fps` of the call alone, 2 / fps seconds, and where there is none from a number in the code: fps 2 (Qwen2.5-Omni), 1 (Qwen3-Omni). How the
# frames were chosen, the metadata of the video and the settings of its video processor are not asked (`_process_videos` in
# processing_qwen2_5_omni.py and processing_qwen3_omni_moe.py). So, for Qwen2.5-Omni,
# - with num_frames=32, pictures of 60 s lie beside the first 16 s of the sound: that of 30 s beside the sound of 8 s; those of 10 s are spread over
#   16 s: that of 5 s lies beside the sound of 8 s;
# - with fps=4 and more frames than `max_frames` (768), as in 4 minutes, the frames are farther apart than they are said to be: the picture of
#   200 s lies beside the sound of 160 s;
# - with neither, all frames are taken (sampling is off by default), and one second of 25 frames is taken to be 12.5 s;
# - an fps that is set in the video processor chooses the frames, and is not used for their times.
# With `fps` in the call and few enough frames, all is right. Nothing is warned of. Seen with frames and their metadata handed over; files, and
# `apply_chat_template`, take the same way. Qwen2.5-VL, without sound, asks the metadata. For Qwen3-Omni the script looks at the distance alone.
# Near to it: vllm-omni issue 5355 and ms-swift pull request 9955, of programs that choose the frames themselves; none of transformers was found.
#
# What to do: give `fps` in the call, also in place of num_frames (fps=num_frames / duration), and no more than max_frames / duration. Look at
# `video_second_per_grid` of what comes back: times the pairs of frames (the first of `video_grid_thw`) it should be the duration.
#
# Made with random weights at a tiny size: positions do not depend on weights. Downloads some gigabytes. Fails when it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" \
    "torch==2.15.0" "torchvision==0.29.2" "transformers==5.24.0" "tokenizers==0.23.3" "numpy==2.4.6"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
names = ["image_token", "audio_token", "video_token", "vision_bos_token", "vision_eos_token", "audio_bos_token", "audio_eos_token"]
words = {f"<|{name}|>": number for number, name in enumerate([*names, "pad"])}
IMAGE, SOUND, PICTURE, VISION, VISION_END, AUDIO, AUDIO_END = range(7)
bare = Tokenizer(models.WordLevel(words, unk_token="<|pad|>"))
bare.pre_tokenizer = pre_tokenizers.Whitespace()
tokens = {name: f"<|{name}|>" for name in names}
tokenizer = transformers.TokenizersBackend(tokenizer_object=bare, pad_token="<|pad|>", extra_special_tokens=tokens)

small = {"hidden_size": 32, "intermediate_size": 32}
text = small | {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 8}
text["rope_parameters"] = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]}
vision = small | {"depth": 1, "num_heads": 2, "out_hidden_size": 32, "fullatt_block_indexes": [0]}
audio = {"d_model": 32, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 32, "output_dim": 32}
config = transformers.Qwen2_5OmniThinkerConfig(
    text_config=text, vision_config=vision, audio_config=audio, image_token_index=IMAGE, audio_token_index=SOUND,
    video_token_index=PICTURE, vision_start_token_id=VISION, vision_end_token_id=VISION_END, audio_start_token_id=AUDIO,
    audio_end_token_id=AUDIO_END,
)  # fmt: skip
model = transformers.Qwen2_5OmniThinkerForConditionalGeneration(config)


def processor(kind=transformers.Qwen2_5OmniProcessor, **of_pictures):
    return kind(
        image_processor=transformers.Qwen2VLImageProcessor(),
        video_processor=transformers.Qwen2VLVideoProcessor(cap_pixels_per_frame=False, **of_pictures),
        feature_extractor=transformers.WhisperFeatureExtractor(feature_size=128, chunk_length=300),
        tokenizer=tokenizer,
    )


def inputs(seconds: int, use=None, fps_of_file: int = 25, **settings):
    "What the model gets of a clip whose pictures are as bright as the number of their second."
    bright = numpy.repeat(numpy.arange(seconds, dtype=numpy.uint8), fps_of_file)
    pictures = numpy.broadcast_to(bright[:, None, None, None], (len(bright), 3, 28, 28))
    metadata = {"total_num_frames": len(bright), "fps": fps_of_file, "duration": seconds, "frames_indices": list(range(len(bright)))}
    plain = {"size": {"shortest_edge": 28 * 28, "longest_edge": 28 * 28}, "do_rescale": False, "do_normalize": False}
    sound = 0.1 * numpy.random.default_rng(0).standard_normal(seconds * 16_000, dtype=numpy.float32)
    return (use or processor())(
        text="<|vision_bos_token|><|video_token|><|vision_eos_token|>",
        videos=[pictures],
        audio=[sound],
        audio_from_video_indices=[0],
        load_audio_from_video=True,
        videos_kwargs=plain | {"video_metadata": [metadata], "do_sample_frames": bool(settings)} | settings,
        return_tensors="pt",
    )


def places(second: int, batch) -> float:
    "Beside the sound of which second the picture of this second lies."
    sound_frames = batch["feature_attention_mask"].sum(-1)
    positions, _ = model.get_rope_index(
        batch["input_ids"], None, batch["video_grid_thw"], batch["attention_mask"], True, sound_frames, batch["video_second_per_grid"]
    )  # fmt: skip
    time, token = positions[0, 0], batch["input_ids"][0]
    bright = batch["pixel_values_videos"][::4, 0]  # four patches for each pair of frames, which are one token
    assert len(bright) == (token == PICTURE).sum()
    of_picture = time[token == PICTURE][int((bright - second).abs().argmin())]
    of_sound = time[token == SOUND]
    nearest = int((of_sound - of_picture).abs().argmin())
    return round(nearest / 25, 1) if of_picture <= of_sound.max() else round(float(of_picture - of_sound.min()) / 25, 1)


print(f"transformers {transformers.__version__}: the second of the picture, and the second of the sound beside which it lies")
set_before = processor(fps=1, do_sample_frames=True)
seen = {
    "60 s, fps=2": {second: places(second, inputs(60, fps=2)) for second in (30, 50)},
    "60 s, num_frames=32": {second: places(second, inputs(60, num_frames=32)) for second in (30, 45)},
    "10 s, num_frames=32": {second: places(second, inputs(10, num_frames=32)) for second in (5, 9)},
    "240 s, fps=4": {second: places(second, inputs(240, fps_of_file=5, fps=4)) for second in (100, 200)},
    "240 s, fps=3": {second: places(second, inputs(240, fps_of_file=5, fps=3)) for second in (100, 200)},
    "60 s, no setting": {second: places(second, inputs(60)) for second in (2, 30)},
    "60 s, fps=1 in the video processor": {second: places(second, inputs(60, set_before, do_sample_frames=True)) for second in (30, 50)},
    "60 s, fps=32/60": {second: places(second, inputs(60, fps=32 / 60)) for second in (30, 45)},
}
for name, moved in seen.items():
    print(f"{name:>36}: {moved}")
of_3 = processor(transformers.Qwen3OmniMoeProcessor)
settings = {"num_frames=32": {"num_frames": 32}, "fps=32/60": {"fps": 32 / 60}}
apart = {name: round(float(inputs(60, of_3, **how)["video_second_per_grid"][0]), 2) for name, how in settings.items()}
print(f"Qwen3-Omni, 60 s: seconds from one pair of frames to the next {apart}")

described = {
    "60 s, fps=2": {30: 30.0, 50: 50.0},
    "60 s, num_frames=32": {30: 8.0, 45: 12.0},
    "10 s, num_frames=32": {5: 8.0, 9: 15.0},
    "240 s, fps=4": {100: 80.0, 200: 160.0},
    "240 s, fps=3": {100: 100.0, 200: 200.0},
    "60 s, no setting": {2: 25.0, 30: 375.0},
    "60 s, fps=1 in the video processor": {30: 15.0, 50: 25.0},
    "60 s, fps=32/60": {30: 30.0, 45: 45.0},
}
if seen != described:
    sys.exit("changed: pictures lie beside sound of other seconds")
if apart != {"num_frames=32": 2.0, "fps=32/60": 3.75}:
    sys.exit("changed: the pairs of frames are another time apart for Qwen3-Omni")
print("as described: without fps in the call, picture and sound of a video lie apart")
PYTHON
