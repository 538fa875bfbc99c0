#!/usr/bin/env bash
# label-studio-sdk 2.0.19: LabelInterface knows the tag TimelineLabels, by which Label Studio marks events in a video, only by name.
#
# A labelling configuration with <TimelineLabels> and <Video>, as Label Studio's documentation of that tag has it, is read without complaint
# and passes validate(). But regions of it can be neither made nor judged: `label(...)` ends in
# AttributeError ('ControlTag' object has no attribute '_value_class'), where the same call for <Labels> on <Audio> gives a region.
# Who makes predictions for a timeline has to write the JSON (type "timelinelabels", value "ranges" and "timelinelabels") by hand.
#
# Fails when that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
"$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" "label-studio-sdk==2.0.19"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys
from importlib.metadata import version

from label_studio_sdk.label_interface import LabelInterface

print(f"label-studio-sdk {version('label-studio-sdk')}")
SOUND = '<View><Labels name="events" toName="clip"><Label value="bell"/></Labels><Audio name="clip" value="$clip"/></View>'
VIDEO = (
    '<View><TimelineLabels name="events" toName="clip"><Label value="bell"/></TimelineLabels><Video name="clip" value="$clip"/></View>'
)


def region(config: str, **value) -> str:
    interface = LabelInterface(config)
    interface.validate()
    control = interface.get_control("events")
    try:
        return str(control.label(["bell"], **value)._dict()["value"])
    except Exception as error:
        return f"{type(error).__name__}: {error}"


sound = region(SOUND, start=2.5, end=4.0)
video = region(VIDEO, ranges=[{"start": 63, "end": 100}])
print(f"Labels on Audio:          {sound}")
print(f"TimelineLabels on Video:  {video}")
if "2.5" not in sound or not video.startswith("AttributeError"):
    sys.exit("changed: a region of TimelineLabels can be made")
print("as described: the configuration is valid, and no region of it can be made")
PYTHON
