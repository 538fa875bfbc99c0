#!/usr/bin/env bash
# transformers 5.24.0: the method of PE-Audio that gives a text's vector, get_text_audio_embeds, raises a TypeError for every text.
#
# PeAudioModel and PeAudioFrameLevelModel have get_audio_embeds for sounds and get_text_audio_embeds for words: whoever embeds a set of
# labels once, to compare them with many sounds, would call the second. Seen: "TypeError: 'NoneType' object is not subscriptable", with
# and without an attention mask, for both classes. The method takes the last of the text model's hidden states, for which it has not asked;
# forward, which does ask, works, but wants a sound beside the text. The text model called with output_hidden_states=True, and
# text_audio_head on the first token of its last state, give what forward gives, to the bit.
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

import torch
import transformers
from transformers import PeAudioConfig, PeAudioFrameLevelModel, PeAudioModel

transformers.logging.set_verbosity_error()
print(f"transformers {transformers.__version__}")
tower = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, head_dim=16)
codec = dict(model_type="dac", downsampling_ratios=[2, 8, 10, 12], encoder_hidden_size=2, codebook_dim=8, hidden_size=16)
words = dict(vocab_size=20, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2)
text = dict(model_type="modernbert", hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, **words)
config = PeAudioConfig(text_config=text, audio_config=dict(model_type="pe_audio_encoder", dac_config=codec, **tower))
ids = torch.tensor([[1, 4, 5, 2]])  # [CLS] two words [SEP]
sound = 0.1 * torch.randn(1, 1, 48_000, generator=torch.Generator().manual_seed(0))
seen = []
for kind in (PeAudioModel, PeAudioFrameLevelModel):
    torch.manual_seed(0)
    model = kind(config).eval()
    with torch.inference_mode():
        for mask in (None, torch.ones_like(ids)):
            try:
                said = f"a vector of shape {tuple(model.get_text_audio_embeds(ids, mask).shape)}"
            except TypeError as error:
                said = f"TypeError: {error}"
            seen.append(said)
            print(f"{kind.__name__}, {'without' if mask is None else 'with'} a mask: {said}")
        both = model(input_ids=ids, input_values=sound).text_audio_embeds
        own = model.text_audio_head(model.text_model(input_ids=ids, output_hidden_states=True).hidden_states[-1][:, 0])
    seen.append(torch.equal(both, own))
    print(f"{kind.__name__}: by hand equal to what forward gives: {seen[-1]}")
if seen != ["TypeError: 'NoneType' object is not subscriptable", "TypeError: 'NoneType' object is not subscriptable", True] * 2:
    sys.exit("changed: the method does something else than described")
print("as described: no text has a vector by that method")
PYTHON
