#!/usr/bin/env bash
# peft 0.21.2 with transformers 5.24.0: two surprises when PE-AV (audio-visual embeddings) gets an adapter.
#
# Seen, with PeAudioVideoModel at a tiny size:
# 1. get_peft_model raises NotImplementedError for every such model: it asks for get_input_embeddings, which this model, whose inputs are
#    pictures and sound, does not have. Adding the method to a subclass, which returns those of the text tower, is enough.
# 2. modules_to_save=["audio_head"] also takes text_audio_head: names of target_modules are compared from a dot on, those of modules_to_save
#    by their last letters. The other head is trained and stored unasked, without a word: video_head and audio_head together are six heads.
#
# Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" \
    "torch==2.15.0" "torchvision==0.29.2" "transformers==5.24.0" "peft==0.21.2" "timm==1.0.31" "numpy<3"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import peft
import transformers

transformers.logging.set_verbosity_error()
print(f"peft {peft.__version__}, transformers {transformers.__version__}")
small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 8}
words = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2, "vocab_size": 40}
text = {"model_type": "modernbert", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2} | words
dac = {"model_type": "dac", "downsampling_ratios": [2, 8, 10, 12], "encoder_hidden_size": 2, "codebook_dim": 8, "hidden_size": 16}
vision = {"model_type": "timm_wrapper", "architecture": "test_vit", "num_classes": 20, "do_pooling": True, "global_pool": "map"}
audio = {"model_type": "pe_audio_encoder", "dac_config": dac} | small
video = {"model_type": "pe_video_encoder", "vision_config": vision | {"model_args": {"img_size": 32}}} | small
config = transformers.PeAudioVideoConfig(text_config=text, audio_video_config=small | {"audio_config": audio, "video_config": video})


def adapted(model, heads):
    lora = peft.LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=heads)
    return peft.get_peft_model(model, lora)


try:
    adapted(transformers.PeAudioVideoModel(config), ["audio_head"])
except NotImplementedError as error:
    print(f"1. NotImplementedError: {str(error)[:100]}")
else:
    sys.exit("changed: PeAudioVideoModel takes an adapter as it is")


class WithEmbeddings(transformers.PeAudioVideoModel):
    def get_input_embeddings(self):
        return self.text_model.get_input_embeddings()


def heads_in(model):
    return sorted({part for name in peft.get_peft_model_state_dict(model) for part in name.split(".") if part.endswith("_head")})


for asked in (["text_audio_head"], ["audio_head"], ["video_head", "audio_head"]):
    stored = heads_in(adapted(WithEmbeddings(config), asked))
    print(f"2. asked for {', '.join(asked)}; stored: {', '.join(stored)}")
if len(stored) != 6:
    sys.exit("changed: only the module that is named is stored")
print("as described: a name takes every module that ends in it")
PYTHON
