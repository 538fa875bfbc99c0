#!/usr/bin/env bash
# transformers 5.24.0: with `chunk_length_s`, Parakeet's transcript of a long sound is that of the first chunk alone.
#
# The pipeline of automatic speech recognition cuts long sounds into chunks that overlap, and takes the overlap away from what the model says of each.
# How many tokens that are, it works out with `config.inputs_to_logits_ratio`, the samples for one token; a model whose configuration has no such
# entry gets 1 without a word (`_align_to` in pipelines/automatic_speech_recognition.py). Three of the CTC models have none: Parakeet, Granite
# Speech 5 and OmniASR. With 1 the overlap is far more tokens than a chunk has, and nothing is left of any chunk but the first, whose right side alone
# is cut, beyond its end. So, of one minute, with chunk_length_s=10 the text ends with what is said at 10 s, with 20 at 20 s, with 50 at 50 s: as if
# nothing more were said. As a whole, which does for some minutes only (issue 43383), and with stride_length_s=0, nothing is lost; `batch_size`
# changes nothing. Wav2Vec2, which has the entry, is right. Nothing is warned of. Seen with Parakeet, as below, and with Granite Speech 5; OmniASR's
# model refuses what the pipeline hands over with a TypeError. Pull request 28821 mended the entry of Wav2Vec2-BERT; no issue of these was found.
#
# What to do: set `pipe.model.config.inputs_to_logits_ratio` to the samples for one token before the call, 1280 for Parakeet and for Granite
# Speech 5 (160 by the feature extractor, 8 by the model), or cut the sound yourself.
#
# Made with random weights at a tiny size: the words are nobody's, their number is the point. Downloads some gigabytes. Fails when it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" \
    "torch==2.15.0" "transformers==5.24.0" "tokenizers==0.23.3" "librosa==0.11.0" "numpy==2.4.6"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy
import torch
import transformers
from tokenizers import Tokenizer, models

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
vocabulary = {"<pad>": 0, "<unk>": 1} | {f"w{number}": number for number in range(2, 62)}
tokenizer = transformers.ParakeetTokenizer(
    tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>")), pad_token="<pad>", unk_token="<unk>"
)
small = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
output = {"vocab_size": 62, "pad_token_id": 0}


def pipeline(model, of_sound):
    torch.manual_seed(0)
    for weights in model.parameters():
        if weights.dim() > 1:
            torch.nn.init.xavier_normal_(weights)
    return transformers.pipeline("automatic-speech-recognition", model.eval(), tokenizer=tokenizer, feature_extractor=of_sound)


encoder = transformers.ParakeetEncoderConfig(**small, subsampling_conv_channels=32)
parakeet = pipeline(
    transformers.ParakeetForCTC(transformers.ParakeetCTCConfig(encoder_config=encoder, **output)), transformers.ParakeetFeatureExtractor()
)
convolutions = {"conv_dim": (16,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}
wav2vec2 = pipeline(
    transformers.Wav2Vec2ForCTC(transformers.Wav2Vec2Config(**small, **convolutions, **output)),
    transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True),
)
draw = numpy.random.default_rng(0)
pitch = numpy.repeat(draw.uniform(200, 4000, 120), 8_000)  # another tone each half second, one minute
sound = 0.3 * numpy.sin(2 * numpy.pi * numpy.cumsum(pitch) / 16_000) + 0.003 * draw.standard_normal(len(pitch))
sound = sound.astype(numpy.float32)


def words(pipe, sound, **settings) -> list[str]:
    return pipe(sound.copy(), **settings)["text"].split()


print(f"transformers {transformers.__version__}: words of one minute, and of its beginning")
whole = {"Parakeet": len(words(parakeet, sound)), "Wav2Vec2": len(words(wav2vec2, sound))}
for name, pipe in {"Parakeet": parakeet, "Wav2Vec2": wav2vec2}.items():
    print(f"{name}: {whole[name]} as a whole")
    for seconds in (10, 20, 50):
        chunks, begin = words(pipe, sound, chunk_length_s=seconds), words(pipe, sound[: seconds * 16_000])
        print(f"   in chunks of {seconds} s: {len(chunks)}; the first {seconds} s by themselves: {len(begin)}")
        if name == "Parakeet" and not 0 < len(chunks) < 0.9 * whole[name]:
            sys.exit("changed: nothing is missing of Parakeet's words")
        if name == "Parakeet" and chunks != begin:
            sys.exit("changed: the words of Parakeet's chunks are not those of the first")
        if name == "Wav2Vec2" and not 0.9 * whole[name] < len(chunks) < 1.1 * whole[name]:
            sys.exit("changed: Wav2Vec2 has other words in chunks than as a whole")
begin = words(parakeet, sound[:160_000])
more = {"batch_size=4": {"batch_size": 4}, "stride_length_s=2": {"stride_length_s": 2}, "stride_length_s=0": {"stride_length_s": 0}}
of_settings = {name: words(parakeet, sound, chunk_length_s=10, **settings) for name, settings in more.items()}
parakeet.model.config.inputs_to_logits_ratio = 1280
of_settings["ratio set to 1280"] = words(parakeet, sound, chunk_length_s=10)
for name, chunks in of_settings.items():
    print(f"Parakeet in chunks of 10 s, {name}: {len(chunks)}")
lost = [name for name, chunks in of_settings.items() if chunks == begin]
if lost != ["batch_size=4", "stride_length_s=2"]:
    sys.exit("changed: other settings lose the words behind the first chunk")
if any(len(chunks) < 0.9 * whole["Parakeet"] for name, chunks in of_settings.items() if name not in lost):
    sys.exit("changed: without overlap, or with the ratio set, words are missing, too")
print("as described: of the chunks of Parakeet the first alone is left")
PYTHON
