#!/usr/bin/env bash
# datasets 5.2.0: after an encoder in a module was edited, map gives the vectors of before; of an encoder in the script it makes new ones.
#
# `Dataset.map` of a data set on disk keeps what it made in a file, under a name made from the data set's own and from the function pickled
# by dill. What the script or notebook defines is pickled whole, with its code, the globals that it reads and the functions that it calls: after
# an edit of any of these the file has another name, and the function is run. What is imported is pickled by its name: a function as
# "encoder.embed", a method as the attributes of its object and "encoder.Encoder". So once an encoder has moved from the notebook to
# encoder.py, an edit of its code or of a constant that it reads gives the old vectors, in a new process, too, and with a function of the
# script around it; likewise after an update of a package. Nothing is said. (The documentation's page on the cache says of the pickler that any
# change of an object that is used in the function changes the name. huggingface/datasets issue 3297, open since 2021, is about this.)
#
# What to do: hand over what tells two states of the code apart, map(encoder.embed, fn_kwargs={"version": "2"}) or an attribute of the object, for
# these are seen; or map(..., load_from_cache_file=False), or datasets.disable_caching() for all.
#
# Fails when the behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "datasets==5.2.0" "numpy==2.4.6"
cd "$folder"
edit() { # the encoder's gain, in all places
    cat >encoder.py <<PYTHON
class Encoder:
    def __init__(self, name):
        self.name = name

    def embed(self, clip):
        return {"vector": [$1 * clip["loudness"]]}


def embed(clip, version=None):
    return {"vector": [$1 * clip["loudness"]]}
PYTHON
    cat >with_constant.py <<PYTHON
GAIN = $1


def embed(clip):
    return {"vector": [GAIN * clip["loudness"]]}
PYTHON
    cat >script.py <<PYTHON
import datasets
import encoder
import with_constant

datasets.disable_progress_bars()
GAIN = $1


class Encoder(encoder.Encoder):
    def embed(self, clip):
        return {"vector": [$1 * clip["loudness"]]}


def embed(clip):
    return {"vector": [$1 * clip["loudness"]]}


def embed_with_constant(clip):
    return {"vector": [GAIN * clip["loudness"]]}


def around_own(clip):
    return embed(clip)


def around_module(clip):
    return encoder.embed(clip)


clips = datasets.load_from_disk("clips")
WAYS = {
    "script: function": (embed, {}),
    "script: function that reads a constant": (embed_with_constant, {}),
    "script: function around a function": (around_own, {}),
    "script: method": (Encoder("large").embed, {}),
    "module: function": (encoder.embed, {}),
    "module: function that reads a constant": (with_constant.embed, {}),
    "module: function of the script around it": (around_module, {}),
    "module: method": (encoder.Encoder("large").embed, {}),
    "module: method, another attribute": (encoder.Encoder("large, $1").embed, {}),
    "module: function, another version": (encoder.embed, {"fn_kwargs": {"version": "$1"}}),
    "module: function, nothing from the file": (encoder.embed, {"load_from_cache_file": False}),
}
for name, (function, more) in WAYS.items():
    print(f"{name}: {clips.map(function, **more)[0]['vector'][0]}")
PYTHON
}
run() { HF_HUB_OFFLINE=1 HF_HOME="$folder/home" PYTHONDONTWRITEBYTECODE=1 "$folder/venv/bin/python" script.py; }
"$folder/venv/bin/python" -c 'import datasets; datasets.disable_progress_bars(); datasets.Dataset.from_dict({"loudness": [0.5, 2.0]}).save_to_disk("clips")'
edit 1
run >first.txt
edit 100
run >second.txt
echo "a clip of loudness 0.5 after the gain was changed from 1 to 100"
cat second.txt
if grep -vq ': 0.5$' first.txt; then
    echo "not as expected: nothing can be said" >&2
    exit 1
fi
old=$(grep ': 0.5$' second.txt | sed "s,: 0.5$,," | paste -sd';')
if [[ $old != "module: function;module: function that reads a constant;module: function of the script around it;module: method" ]] ||
    [[ $(grep -c ': 50.0$' second.txt) != 7 ]]; then
    echo "changed: other ways give the vectors of before" >&2
    exit 1
fi
echo "as described: what comes from a module gives the vectors of before"
