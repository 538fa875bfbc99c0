"Annotations of other tools: files written by their own libraries, what is damaged, and that nothing is lost on the way."

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avesound import cli
from avesound.data.annotations import read_annotations, read_ave_txt
from avesound.data.export import ExportSettings, clips_to_show, export_annotations
from avesound.data.formats import READERS, ImportSettings, import_annotations

TABLES = {"dcase": "filename\tonset\toffset\tevent_label", "audioset": "segment_id\tstart_time_seconds\tend_time_seconds\tlabel"}


def rows_of(imported) -> list[tuple]:
    return [tuple(row) for row in imported.table[["video_id", "event_label", "start_s", "end_s"]].itertuples(index=False)]


# ---- files of other libraries


def test_an_elan_file_of_its_own_library(tmp_path):
    "Tiers, an empty value, a linked video, an annotation that hangs on another."
    from pympi.Elan import Eaf

    eaf = Eaf(author="x")
    eaf.add_linked_file("file:///C:/videos/dog.v2.mp4", mimetype="video/mp4")
    eaf.add_tier("events")
    eaf.add_annotation("events", 2500, 4000, "bark")
    eaf.add_annotation("events", 6000, 7001, "")
    eaf.add_linguistic_type("word", constraints="Symbolic_Association", timealignable=False)
    eaf.add_tier("comment", ling="word", parent="events")
    eaf.add_ref_annotation("comment", "events", 3000, "loud")
    eaf.to_file(str(tmp_path / "notes.eaf"))
    imported = import_annotations(tmp_path / "notes.eaf")
    assert rows_of(imported) == [("dog.v2", "bark", 2.5, 4.0), ("dog.v2", "events", 6.0, 7.001)]
    assert [re.search("tier .*", remark)[0] for remark in imported.remarks] == [
        "tier comment: hangs on another tier, and has no times of its own"
    ]


def test_bounds_without_a_time_and_a_medium_that_begins_later(tmp_path):
    "A tier that divides another may leave inner bounds open, and a medium may have been cut; the file that fails is the one that is named."
    from pympi.Elan import Eaf

    for name, origin in (("yard", None), ("hall", 2000)):
        eaf = Eaf(author="x")
        eaf.add_linked_file(f"file:///v/my%20{name}.mp4", mimetype="video/mp4", time_origin=origin)
        eaf.add_tier("events")
        eaf.add_annotation("events", 1000, 4000, "bark")
        eaf.add_annotation("events", 4000, 5000, "growl")
        if name == "hall":
            eaf.timeslots[next(end for _, end, value, _ in eaf.tiers["events"][0].values() if value == "growl")] = None
        eaf.to_file(str(tmp_path / f"{name}.eaf"))
    imported = import_annotations([tmp_path / "yard.eaf", tmp_path / "hall.eaf"])
    assert rows_of(imported) == [("my yard", "bark", 1.0, 4.0), ("my yard", "growl", 4.0, 5.0), ("my hall", "bark", 3.0, 6.0)]
    assert [note.partition("hall.eaf")[2] for note in imported.left_out] == [", tier events, 'growl': a bound of it has no time"]
    assert "time 0 is at 2 s of my hall" in imported.remarks[0]
    (tmp_path / "one.json").write_text('{"database": {"a": {"annotations": [{"segment": [1, 2]}]}}}')
    (tmp_path / "two.json").write_text('{"database": {"b": []}}')
    with pytest.raises(ValueError, match=r"two\.json"):
        import_annotations([tmp_path / "one.json", tmp_path / "two.json"], "activitynet")


def test_what_nobody_has_annotated_is_no_clip_without_an_event(tmp_path):
    "Of Label Studio a task that was skipped or not begun, of ActivityNet a split that is kept back."
    region = {"type": "labels", "value": {"start": 1, "end": 2.5, "labels": ["bark"]}}
    about = {"id": "r", "type": "textarea", "value": {"start": 1, "end": 2.5, "text": ["loud"]}}
    alone = {"id": "s", "type": "choices", "value": {"start": 4, "end": 5, "choices": ["loud"]}}
    annotations = {
        "/data/upload/1/yard.wav": [{"result": [region | {"id": "r"}, about, alone, region]}],
        "/data/upload/1/hall.wav": [{"result": []}],
        "/data/upload/1/skipped.wav": [{"was_cancelled": True, "result": []}],
        "/data/upload/1/untouched.wav": [],
        "/data/local-files/?d=videos/my%20kitchen.mp4": [{"result": [region]}],
        "s3://bucket/100%25%20sure.mp4?sig=a/b.c": [{"result": [region]}],
    }
    tasks = [{"data": {"audio": name}, "annotations": of} for name, of in annotations.items()]
    (tmp_path / "ls.json").write_text(json.dumps(tasks))
    imported = import_annotations(tmp_path / "ls.json")
    bark, none = ("bark", 1.0, 2.5), ("event", None, None)
    rows = [(name, label, *(None if math.isnan(t) else t for t in times)) for name, label, *times in rows_of(imported)]
    assert rows[:4] == [("yard", *bark), ("yard", "event", 4.0, 5.0), ("yard", *bark), ("hall", *none)]
    assert rows[4:] == [("my kitchen", *bark), ("100% sure", *bark)]
    assert [note.rpartition(": ")[2] for note in imported.left_out] == ["a textarea about it", "was skipped", "nobody has annotated it"]
    some, nothing = {"annotations": [{"segment": [1, 2], "label": "x"}]}, {"annotations": []}
    database = {"a": some | {"subset": "training"}, "b": nothing | {"subset": "training"}, "c": nothing | {"subset": "testing"}}
    (tmp_path / "an.json").write_text(json.dumps({"database": database}))
    imported = import_annotations(tmp_path / "an.json")
    assert imported.table["video_id"].tolist() == ["a", "b"] and "none of 1 clip of testing has an annotation" in imported.remarks[0]


@pytest.mark.parametrize("to", ["elan", "labelstudio"])
def test_ids_come_back_from_addresses_as_they_were(tmp_path, to):
    ids = ["100%25 sure", "what?", "a#b", "my clip", "кот", "plain-1_x.2"]
    rows = "".join(f"{video_id},bark,1,2\n" for video_id in ids)
    (tmp_path / "e.csv").write_text(f"video_id,event_label,start_s,end_s\n{rows}", encoding="utf-8")
    how = ExportSettings(media="https://host/v/{video_id}.mp4")
    back = import_annotations(export_annotations(tmp_path / "e.csv", tmp_path / "out", to, how), to)
    assert sorted(back.table["video_id"]) == sorted(ids)


def test_quotation_marks_of_tables_with_tabs(tmp_path):
    "pandas and csv double the marks of a field that has some; a field that only begins with one is as it stands."
    import pandas as pd

    labels = ['bell "big", old', '"Wow"', 'a "', "plain"]
    rows = [(f"{k}.wav", 1.0, 2.0, label) for k, label in enumerate(labels)]
    pd.DataFrame(rows, columns=TABLES["dcase"].split("\t")).to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    (tmp_path / "u.tsv").write_text(f'{TABLES["dcase"]}\n4.wav\t1\t2\t"ouch\n5.wav\t1\t2\tsay "a"\n')
    imported = import_annotations([tmp_path / "t.tsv", tmp_path / "u.tsv"], "dcase")
    assert imported.table["event_label"].tolist() == [*labels, '"ouch', 'say "a"']


def test_a_moment_is_no_annotation_for_elan_and_no_clip_without_one(tmp_path):
    (tmp_path / "e.csv").write_text("video_id,event_label,start_s,end_s\nhit,click,2.5,2.5\ndog,click,1,1\ndog,bark,1,2\nsea,none,,\n")
    with pytest.warns(UserWarning, match="events without length .*: 2"):
        written = export_annotations(tmp_path / "e.csv", tmp_path / "out", "elan")
    assert [path.stem for path in written] == ["dog", "sea"]
    back = rows_of(import_annotations(written))
    assert back[0] == ("dog", "bark", 1.0, 2.0) and back[1][0] == "sea" and math.isnan(back[1][2])


def test_what_is_written_for_elan_is_read_by_its_library(tmp_path):
    from pympi.Elan import Eaf

    (tmp_path / "s.csv").write_text(
        "video_id,event_label,t_pred_sec,interval_start_sec,interval_end_sec,gt_start_sec,gt_end_sec,confidence\ndog,bark,3,2.75,3.5,2.5,4,0.83\n"
    )
    (path,) = export_annotations(tmp_path / "s.csv", tmp_path / "out", "elan", ExportSettings(media="file:///v/{video_id}.mov"))
    eaf = Eaf(str(path))
    assert sorted(eaf.get_tier_names()) == ["annotated", "predicted"]
    assert eaf.get_annotation_data_for_tier("annotated") == [(2500, 4000, "bark")]
    assert eaf.get_annotation_data_for_tier("predicted") == [(2750, 3500, "bark (0.83)")]
    assert eaf.get_linked_files()[0]["MEDIA_URL"] == "file:///v/dog.mov"


THEIR_SCRIPTS = {
    ("audacity", "crowsetta==5.1.2"): """
import sys
import numpy as np
from crowsetta.formats.seq import AudSeq
times = {"start_times": np.array([2.5, 6.0, 600000.125]), "end_times": np.array([4.0, 9.25, 600001.25])}
AudSeq(**times, labels=np.array(["bell", "007", "NA"]), annot_path=sys.argv[1]).to_file(sys.argv[1])
""",
    ("labelstudio", "label-studio-sdk==2.0.19"): """
import sys
from label_studio_sdk.label_interface import LabelInterface
from label_studio_sdk.label_interface.objects import AnnotationValue, TaskValue
labels = "".join(f'<Label value="{label}"/>' for label in ("bell", "007", "NA"))
view = f'<View><Labels name="l" toName="a">{labels}</Labels><Audio name="a" value="$audio"/></View>'
control = LabelInterface(view).get_control("l")
spans = [("bell", 2.5, 4.0), ("007", 6.0, 9.25), ("NA", 600000.125, 600001.25)]
regions = [control.label([label], start=start, end=end)._dict() for label, start, end in spans]
task = TaskValue(data={"audio": "/data/upload/3/marks.wav"}, annotations=[AnnotationValue(completed_by=1, result=regions)])
open(sys.argv[1], "w").write(f"[{task.model_dump_json()}]")
""",
}


def python_with(folder: Path, *packages: str) -> Path:
    "The interpreter of an environment with these packages, which bring dozens of others."
    uv, python = Path(sys.executable).with_name("uv"), folder / "env/bin/python"
    if not uv.exists():
        pytest.skip("this environment was not made by uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder / "env"], check=True, timeout=60)
    installed = subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", python, *packages], capture_output=True, text=True, timeout=300
    )
    if installed.returncode:
        pytest.skip(f"the package index does not answer ({installed.stderr.strip()[-200:]})")
    return python


@pytest.mark.network
@pytest.mark.parametrize(("name", "package"), THEIR_SCRIPTS)
def test_what_another_library_writes_is_read(name, package, tmp_path):
    path = tmp_path / ("marks.json" if name == "labelstudio" else "marks.txt")
    script = THEIR_SCRIPTS[name, package]
    subprocess.run([python_with(tmp_path, package), "-W", "ignore", "-c", script, path], check=True, timeout=120)
    imported = import_annotations(path, name)
    found = [(label, start, end) for _, label, start, end in rows_of(imported)]
    assert found == [("bell", 2.5, 4.0), ("007", 6.0, 9.25), ("NA", 600000.125, 600001.25)] and not imported.remarks
    assert {video_id for video_id, *_ in rows_of(imported)} == {"marks"}


FRAMES_OF_ETA = """
import json, sys
from eta.core.frameutils import frame_number_to_timestamp, timestamp_to_frame_number
given, duration_s, n = json.loads(sys.argv[1]), 10.0, round(10 * float(sys.argv[2]))
theirs = [[timestamp_to_frame_number(t, duration_s, n) for t in span] for span in given["spans"]]
back = [[frame_number_to_timestamp(k, n, duration_s) for k in frames] for frames in given["frames"]]
print(json.dumps([theirs, back]))
"""


@pytest.mark.network
def test_the_library_of_fiftyone_counts_frames_as_we_do_to_one_of_them(tmp_path):
    "It takes the last frame for the end of the video: what it writes, and what it makes of ours, is up to a frame off."
    python = python_with(tmp_path, "voxel51-eta==0.17.0", "setuptools<81")
    spans = [[0.0, 10.0], [2.5, 4.0], [6.01, 9.26]]
    for fps in (25, 29.97, 30):
        ours = []
        for k, (start, end) in enumerate(spans):  # a clip each: events of a clip may not overlap
            (tmp_path / "e.csv").write_text(f"video_id,event_label,start_s,end_s\ndog,bark,{start},{end}\n")
            (path,) = export_annotations(tmp_path / "e.csv", tmp_path / f"out-{fps}-{k}", "fiftyone", ExportSettings(fps=fps))
            ours += [one["support"] for one in json.loads(path.read_text())["labels"]["dog"]]
        given = json.dumps({"spans": spans, "frames": ours})
        told = subprocess.run([python, "-W", "ignore", "-c", FRAMES_OF_ETA, given, str(fps)], capture_output=True, check=True, timeout=120)
        theirs, back = json.loads(told.stdout)
        assert np.abs(np.subtract(theirs, ours)).max() <= 1 and np.abs(np.subtract(back, spans)).max() <= 1 / fps + 1e-3


@pytest.mark.parametrize("label", ['"bell', "007", "1e5", "NA", "None", 'a "b" c', "\\\\"])
def test_a_label_of_a_track_is_what_stands_there(label, tmp_path):
    (tmp_path / "marks.txt").write_text(f'2.500000\t4.000000\t{label}\n\\\t100.0\t2000.0\n6.000000\t9.250000\thorn"\n')
    assert rows_of(import_annotations(tmp_path / "marks.txt", "audacity")) == [("marks", label, 2.5, 4.0), ("marks", 'horn"', 6.0, 9.25)]


def test_the_place_of_ave_s_annotations_is_not_taken_by_others(tmp_path, monkeypatch, capsys):
    from avesound.data.sets import make_miniature

    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/ave").mkdir(parents=True)
    (tmp_path / "data/ave/ave_annotations.csv").write_text("AVE's")
    (tmp_path / "dog.txt").write_text("1\t5\tbark\n")
    make_miniature("mini", "llp")
    for words in (["audacity", "--file", "dog.txt"], ["llp", "--file", "mini"], ["auto", "--file", "mini"]):
        assert cli.main(["annotations", "--from", *words]) == 1
        assert "name the CSV to write, --out_csv" in capsys.readouterr().err
    assert (tmp_path / "data/ave/ave_annotations.csv").read_text() == "AVE's"
    make_miniature("mini_ave", "ave")
    assert cli.main(["annotations", "--from", "ave", "--file", "mini_ave"]) == 0


# ---- nothing is lost, nothing is changed


@pytest.mark.parametrize("video_id", ["-1e5", "00123", "1e10", "NA", "nan", "None", "null", "True", "inf", "a b", "ünï"])
@pytest.mark.parametrize("name", TABLES)
def test_ids_stay_text(tmp_path, name, video_id):
    (tmp_path / "t.tsv").write_text(f"{TABLES[name]}\n{video_id}\t1\t2.5\tbark\n", encoding="utf-8")
    imported = import_annotations(tmp_path / "t.tsv")
    assert rows_of(imported) == [(video_id, "bark", 1.0, 2.5)]
    imported.save(tmp_path / "t.csv")
    assert read_annotations(tmp_path / "t.csv")["video_id"].tolist() == [video_id]


def test_every_row_in_is_a_row_out_or_a_line(tmp_path):
    good = [f"clip{k}\t{k}\t{k + 1}\tbark" for k in range(5)]
    bad = ["clip9\t4\t2\tbark", "\t1\t2\tbark", "clip9\t-1\t2\tbark", "clip9\tx\t2\tbark", "a/../b\\\t1\t2\tbark", "clip9\tinf\t2\tbark"]
    (tmp_path / "t.tsv").write_text("\n".join([TABLES["audioset"], *good, *bad]) + "\n")
    imported = import_annotations(tmp_path / "t.tsv")
    assert len(imported.table) == len(good) and len(imported.left_out) == len(bad)
    assert all(f"t.tsv, line {7 + k}" in line for k, line in enumerate(imported.left_out))
    assert "5 rows of 5 clips, read as audioset" in str(imported) and str(imported).count("left out: ") == len(bad)


def test_overlaps_by_label_gaps_and_moments_are_kept(tmp_path):
    (tmp_path / "dog.txt").write_text("1\t5\tbark\n2\t3\tgrowl\n8\t8\tclick\n")
    imported = import_annotations(tmp_path / "dog.txt")
    assert rows_of(imported) == [("dog", "bark", 1.0, 5.0), ("dog", "growl", 2.0, 3.0), ("dog", "click", 8.0, 8.0)]
    assert imported.remarks == ("events of zero length: dog at 8 s; they are rows, and no events",)


def test_unav_and_its_kin(tmp_path):
    "Splits have one name each; a video without annotations is a clip without an event; an end beyond the video is told."
    database = {
        "a": {"duration": 10.0, "subset": "train", "annotations": [{"segment": [0.5, 12.0], "label": "x", "label_id": 3}]},
        "b": {"duration": 10.0, "subset": "train", "annotations": []},
        "c": {"subset": "testing", "annotations": [{"segment": [1, 2], "label": "y"}, {"segment": [1.5, 3], "label": "x"}]},
    }
    (tmp_path / "unav.json").write_text(json.dumps({"version": "1.0", "database": database}))
    imported = import_annotations(tmp_path / "unav.json", "activitynet")
    assert imported.table["split"].tolist() == ["train", "train", "test", "test"]
    assert math.isnan(imported.table["start_s"][1]) and len(imported.remarks) == 1 and "after the 10 s" in imported.remarks[0]


# ---- units


@pytest.mark.parametrize("name", ["dcase", "audioset"])
def test_milliseconds_are_asked_about(tmp_path, name):
    (tmp_path / "t.tsv").write_text(f"{TABLES[name]}\na\t2500\t4000\tbark\nb\t100\t900\tbark\n")
    with pytest.raises(ValueError, match=r"t\.tsv: as seconds, half of the events last .* --unit ms"):
        import_annotations(tmp_path / "t.tsv")
    assert rows_of(import_annotations(tmp_path / "t.tsv", how=ImportSettings(unit="ms")))[0] == ("a", "bark", 2.5, 4.0)
    assert rows_of(import_annotations(tmp_path / "t.tsv", how=ImportSettings(unit="s")))[0] == ("a", "bark", 2500.0, 4000.0)


def test_frames_need_a_rate_and_come_back_within_half_of_one(tmp_path):
    (tmp_path / "e.csv").write_text("video_id,event_label,start_s,end_s\ndog,bark,2.5,4.0\nsea,waves,0,0.01\n")
    with pytest.raises(ValueError, match="--fps"):
        export_annotations(tmp_path / "e.csv", tmp_path / "out", "fiftyone")
    for fps in (25, 29.97, 30):
        (path,) = export_annotations(tmp_path / "e.csv", tmp_path / "out", "fiftyone", ExportSettings(fps=fps))
        labels = json.loads(path.read_text())["labels"]
        first, last = labels["dog"][0]["support"]
        assert abs((first - 1) / fps - 2.5) <= 0.5 / fps + 1e-9 and abs(last / fps - 4.0) <= 0.5 / fps + 1e-9
        assert labels["sea"][0]["support"] == [1, 1], "what is shorter than a frame is one"


# ---- what is no such file


def test_another_format_is_met_with_its_name(tmp_path):
    (tmp_path / "dog.txt").write_text("2.5\t4.0\tbark\n")
    (tmp_path / "unav.json").write_text('{"version": "1", "database": {}}')
    for read in (read_annotations, read_ave_txt):
        with pytest.raises(ValueError, match=r"looks like audacity: `avesound annotations --from audacity --file .*dog\.txt"):
            read(tmp_path / "dog.txt")
        with pytest.raises(ValueError, match="looks like activitynet"):
            read(tmp_path / "unav.json")


NAMES = st.sampled_from(
    ["database", "annotations", "segment", "label", "category", "data", "audio", "result", "value", "ranges", "start", "end", "labels"]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize("name", ["activitynet", "ovave", "labelstudio"])
@settings(max_examples=60, deadline=None)
@given(value=ANYTHING)
def test_json_of_any_shape_is_rows_or_one_clear_error(tmp_path_factory, name, value):
    path = tmp_path_factory.mktemp("json") / "x.json"
    path.write_text(json.dumps(value))
    try:
        assert len(import_annotations(path, name, ImportSettings(fps=25)).table)
    except ValueError as error:
        assert "x.json" in str(error)


@pytest.mark.parametrize("name", READERS)
def test_text_that_is_none_of_it_is_one_clear_error(tmp_path, name):
    for content in (b"", b"\xff\xfe\x00", b"<a>", b"\x00" * 10, b"{" * 100_000):
        path = tmp_path / "audio_x.txt"
        path.write_bytes(content)
        try:
            rows = import_annotations(path, name).table
            assert name == "audacity" and rows["start_s"].isna().all(), "an empty track is a clip without an event"
        except ValueError as error:
            assert "audio_x.txt" in str(error)


# ---- the command


def test_the_command_there_and_back(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dog.txt").write_text("2.5\t4.0\tbark\n")
    (tmp_path / "sea.txt").write_text("0\t1.5\twaves\n")
    assert cli.main("annotations --from audacity --file dog.txt sea.txt --out_csv events.csv".split()) == 0
    assert "2 rows of 2 clips, read as audacity" in capsys.readouterr().out
    for to in ("audacity", "elan", "labelstudio", "activitynet"):
        assert cli.main(f"annotations --to {to} --file events.csv --out_dir {to}".split()) == 0
        words = ["annotations", "--from", to, "--file", *map(str, sorted((tmp_path / to).iterdir())), "--out_csv", "back.csv"]
        assert cli.main(words) == 0
        assert read_annotations("back.csv").iloc[:, :4].equals(read_annotations("events.csv").iloc[:, :4]), to
    assert cli.main("annotations --to fiftyone --fps 25 --file events.csv --out_dir frames".split()) == 0
    assert "by default" not in capsys.readouterr().err, "no word of a CSV that is not written"
    assert cli.main("annotations --from audacity --file missing.txt --out_csv x.csv".split()) == 1
    assert "missing.txt" in capsys.readouterr().err and not (tmp_path / "x.csv").exists()


def test_a_summary_shows_what_was_predicted(tmp_path):
    header = "video_id,event_label,split,t_pred_sec,interval_start_sec,interval_end_sec,gt_start_sec,gt_end_sec"
    (tmp_path / "s.csv").write_text(f"{header}\na,bark,test,3,2,4,1,5\nb,sea,test,,,,,\n")
    a, b = clips_to_show(tmp_path / "s.csv")
    assert (a.predicted[0][1:3], a.annotated[0][1:3], b.predicted, b.annotated) == ((2.0, 4.0), (1.0, 5.0), (), ())
    (tmp_path / "s.csv").write_text(f"{header}\na,bark,test,x,2,4,1,5\n")
    with pytest.raises(ValueError, match=r"s\.csv, line 2"):
        clips_to_show(tmp_path / "s.csv")
