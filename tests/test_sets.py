"Published data sets, from their folders to a result on their test split, and what is wrong with folders."

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

from avesound import cli
from avesound.data.annotations import read_annotations
from avesound.data.formats import import_annotations
from avesound.data.senses import read_senses
from avesound.data.sets import SETS, import_set, make_miniature

# Written by hand from the plans of the clips: id, class, start, end, split; two empty times: nothing to find.
ROWS = {
    "ave": """\
        -1e50000000  Church bell                0 2   train
        __made-up__  Train horn                 0 3   val
        __made-up__  Train horn                 3 6   val
        1e000000005  Male speech, man speaking  0 6   val
        -5e00000001  Motorcycle                 2 6   test
        0x1F0000000  Male speech, man speaking  1 5   test
        0x1F0000000  Male speech, man speaking  6 10  test""",
    "ovave": """\
        -1e50000000  bowling impact  0 2   train
        00123456789  driving buses   - -   val
        __made-up__  train horning   0 6   val
        1e000000005  female speech   0 6   val
        -_-_-_-_-_-  bowling impact  - -   test
        -5e00000001  driving buses   2 6   test
        NA-NA-NA-NA  train horning   - -   val
        0x1F0000000  female speech   1 5   test
        0x1F0000000  female speech   6 10  test""",
    "llp": """\
        00123456789       event       - -  val
        __made-up__       Fire_alarm  1 2  val
        __made-up__       Fire_alarm  3 5  val
        1e000000005       Speech      0 6  val
        -_-_-_-_-_-       event       - -  test
        -5e00000001       Car         2 6  test
        NA-NA-NA-NA       event       - -  val
        0x1F0000000       Speech      2 4  test
        0x1F0000000       Speech      7 9  test
        5e00000001_30_40  event       - -  none""",
    "unav100": """\
        -_-_-_-_-_-  horn    0.6 1.9    test
        -_-_-_-_-_-  speech  4.7 6.7    test
        -_-_-_-_-_-  horn    8.7 10.8   test
        -_-_-_-_-_-  horn    12.8 17    test
        -_-_-_-_-_-  horn    18.4 19.7  test
        -5e00000001  horn    1.5 4.1    test
        -5e00000001  engine  2.8 4.8    test
        -5e00000001  engine  6.1 7.8    test
        -5e00000001  speech  9.1 10.2   test
        -5e00000001  horn    9.5 12.5   test
        -5e00000001  horn    14.2 15.2  test
        -5e00000001  horn    16.4 19.6  test
        0x1F0000000  speech  0.1 4.4    test
        0x1F0000000  speech  5.5 10     test
        0x1F0000000  engine  11.3 13.6  test
        0x1F0000000  impact  14.7 19.7  test""",  # of the others, 28 rows in train and val
}
MISSING = {"ave": (), "unav100": ("NA-NA-NA-NA",), "ovave": ("NA-NA-NA-NA",), "llp": ("NA-NA-NA-NA", "5e00000001_30_40")}
NOTHING = {"ave": 0, "unav100": 0, "ovave": 1, "llp": 1}  # clips of test without an event


def by_hand(name: str) -> list[tuple[str, ...]]:
    rows = []
    for line in ROWS[name].splitlines():
        video_id, label, times, split = re.split(r"\s{2,}", line.strip())
        rows.append((video_id, label, *("" if time == "-" else time for time in times.split()), "" if split == "none" else split))
    return rows


@pytest.fixture(scope="module")
def minis(tmp_path_factory):
    "A miniature of each set."
    folder = tmp_path_factory.mktemp("sets")
    for name in SETS:
        make_miniature(folder / name, name)
    return folder


@pytest.fixture
def mini(minis, tmp_path, request):
    "A copy of one of them, to be damaged."
    return shutil.copytree(minis / request.param, tmp_path / request.param)


def command(text: str) -> None:
    assert cli.main(text.split()) == 0, text


@pytest.mark.parametrize("name", SETS)
def test_the_whole_way_from_the_published_folder_to_its_test_split(minis, tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).symlink_to(minis / name)
    command(f"annotations --from {name} --file {name} --out_csv {name}.csv")
    said = capsys.readouterr().out
    with open(f"{name}.csv", newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    got = [tuple(row[column] for column in ("video_id", "event_label", "start_s", "end_s", "split")) for row in written]
    assert [row for row in got if name != "unav100" or row[-1] == "test"] == by_hand(name)
    assert len(got) == {"ave": 7, "unav100": 44, "ovave": 9, "llp": 10}[name]

    extract = re.search(r"^next: avesound (extract .*)$", said, re.MULTILINE)[1]
    command(extract)
    n_clips = len({row[0] for row in got})
    assert f"{n_clips} clips: {n_clips - len(MISSING[name])} ok" in capsys.readouterr().out

    cache = f"--annotations_csv {name}.csv --vid_emb_dir cache_{name} --aud_emb_dir cache_{name}"
    grid = "--taus 0.1,0.5 --smooth_sigmas 0 --zscores true --n_boot 20 --workers 1 --test_split none"
    command(f"sweep --caches cache_{name} --annotations_csv {name}.csv --out_dir grid {grid}")
    more = f"--senses_csv {name}_senses.csv" if name == "llp" else ""
    command(f"evaluate {cache} --split test --tuned_on grid/selection.json --summary_csv results/summary.csv {more}")
    with open("results/summary.csv", newline="", encoding="utf-8") as file:
        scored = {row["video_id"]: row for row in csv.DictReader(file)}
    assert set(scored) == {row[0] for row in got if row[-1] == "test"}
    assert {row["status"] for row in scored.values()} <= {"ok", "no_event"}
    assert sum(row["status"] == "no_event" for row in scored.values()) == NOTHING[name]
    assert (tmp_path / "results/summary_pointing.csv").exists() == (name == "llp")
    assert (tmp_path / "results/summary_presence.csv").exists() == bool(NOTHING[name])


@pytest.mark.parametrize("name", SETS)
def test_every_clip_is_there_or_missing_and_every_file_is_a_clip_or_none(minis, name):
    found = import_set(minis / name)
    assert found.name == name, "told by its files"
    assert found.files.missing == MISSING[name] and found.files.empty == ()
    ids = set(found.imported.table["video_id"])
    assert ids == {*found.files.present, *found.files.missing}
    files = {path.name for path in (minis / name).rglob("*.mp4")}
    assert files == {f"{i}.mp4" for i in found.files.present} | set(found.files.extra) and "not_in_list.mp4" in found.files.extra
    assert {path.stem for path in found.vid_dir.iterdir()} >= set(found.files.present)


def test_annotations_of_llp_in_are_rows_out_and_what_is_said(minis, tmp_path):
    found = import_set(minis / "llp")
    found.save(tmp_path / "llp.csv")
    lines = sum(len(path.read_text().splitlines()) - 1 for path in found.sources if "eval" in path.name)
    assert lines == len(found.imported.senses) + len(found.imported.left_out) and len(found.imported.left_out) == 1
    senses = read_senses(tmp_path / "llp_senses.csv")
    assert list(senses) and set(senses) == set(read_annotations(tmp_path / "llp.csv")["video_id"]), "the same ids in both"
    assert [(i.start_s, i.end_s) for i in senses["-5e00000001"].heard["Car"]] == [(2, 10)]
    assert [(i.start_s, i.end_s) for i in senses["-5e00000001"].seen["Car"]] == [(2, 6)]


def test_open_classes_of_ovave_can_be_scored_alone(minis, tmp_path):
    import_set(minis / "ovave").save(tmp_path / "ovave.csv")
    table = read_annotations(tmp_path / "ovave.csv")
    assert set(table["event_label"][table["cls_type"] == "open"]) == {"driving buses", "train horning"}
    assert not set(table["event_label"][table["cls_type"] == "open"]) & set(table["event_label"][table["split"] == "train"])


# ---- folders in which something is wrong


def edited(path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


ANNO, META = "meta_anno_files/released_ovavel_dataset_anno.json", "meta_anno_files/ovave_dataset_meta.csv"
UNAV = "annotations/unav100_annotations.json"


@pytest.mark.parametrize(
    "mini, damage, message",
    [
        ("ovave", lambda m: (m / META).unlink(), r"no ovave_dataset_meta\.csv of OV-AVEBench in .*--from ovave --file .*anno\.json"),
        (
            "ovave",
            lambda m: edited(m / ANNO, '"[0, 0, 1, 1, 1, 1, 0, 0, 0, 0]"', '"[0, 0, 1, 1, 1, 1, 0, 0, 0]"'),
            r"anno\.json, -5e00000001: 'label' must be ten seconds .* got 9",
        ),
        (
            "ovave",
            lambda m: edited(m / ANNO, '"[0, 0, 1, 1, 1, 1, 0, 0, 0, 0]"', '"001111000"'),
            r"'label' must be ten seconds .* got '001111000'",
        ),
        ("ovave", lambda m: edited(m / META, "\ntest,", "\nval,"), r"ovave_dataset_meta\.csv: no annotated clip is in test"),
        (
            "ovave",
            lambda m: (m / META).write_text("split,cls_name,cls_type,vid_name\ntest,x,open,abc\n"),
            r"none is in ovave_dataset_meta.*same release",
        ),
        ("ovave", lambda m: (m / META).write_text("split;cls_name;cls_type;vid_name\n"), r"meta\.csv, line 1: no column vid_name, split"),
        (
            "ovave",
            lambda m: edited(m / META, "\ntest,female", "\nval,female speech,close,-5e00000001\ntest,female"),
            r"-5e00000001 is in test and in val",
        ),
        ("ovave", lambda m: (m / ANNO).write_text((m / ANNO).read_text()[:300]), r"anno\.json, line \d+: no JSON"),
        (
            "unav100",
            lambda m: edited(m / UNAV, '"subset": "test"', '"subset": "train"'),
            r"unav100_annotations\.json: no annotated clip is in test",
        ),
        (
            "unav100",
            lambda m: (m / UNAV).write_text('{"a": {"category": "x", "label": "[0]"}}'),
            r"annotations\.json: holds ovave, and not what UnAV-100",
        ),
        ("unav100", lambda m: (m / UNAV).write_text('{"a": 1}'), r"annotations\.json: has no 'database'"),
        ("unav100", lambda m: shutil.copy(m / UNAV, m / UNAV.rpartition("/")[2]), r"unav100_annotations\.json is there 2 times"),
        ("llp", lambda m: (m / "data/AVVP_test_pd.csv").unlink(), r"no AVVP_test_pd\.csv of LLP in"),
        ("llp", lambda m: (m / "data/AVVP_eval_visual.csv").unlink(), r"no AVVP_eval_visual\.csv of LLP in"),
        (
            "llp",
            lambda m: [edited(m / f"data/AVVP_{s}_pd.csv", "_30_40", "_31_41") for s in ("val", "test")],
            r"of the 8 annotated clips none is in AVVP_val",
        ),
        (
            "llp",
            lambda m: edited(m / "data/AVVP_eval_audio.csv", "\t", ","),
            r"AVVP_eval_audio\.csv: holds csv, and not what LLP|no column",
        ),
        (
            "llp",
            lambda m: shutil.copy(m / "data/AVVP_val_pd.csv", m / "data/AVVP_test_pd.csv"),
            r"AVVP_test_pd\.csv, line 2: .* is in val and in test",
        ),
        ("ave", lambda m: (m / "testSet.txt").unlink(), r"no testSet\.txt of AVE in"),
        ("ave", lambda m: (m / "testSet.txt").write_text("Car&abc&good&0&5\n"), r"testSet\.txt: 1 rows are not in"),
    ],
    indirect=["mini"],
)
def test_what_is_wrong_with_a_folder_is_one_line(mini, damage, message, capsys, tmp_path):
    damage(mini)
    assert cli.main(["annotations", "--from", mini.name, "--file", str(mini), "--out_csv", str(tmp_path / "out.csv")]) == 1
    error = capsys.readouterr().err
    assert re.search(message, error) and len(error.strip().splitlines()) == 1, error
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("mini", ["ovave"], indirect=True)
def test_what_only_one_file_knows_is_said(mini):
    "A clip that the CSV does not list has no split; one that was not annotated is no row; neither is lost."
    text = (mini / META).read_text()
    (mini / META).write_text(text.replace("-5e00000001", "another0001").replace("train,bowling impact,", "train,bowling,"))
    found = import_set(mini)
    rows = found.imported.table.set_index("video_id")
    assert rows["split"]["-5e00000001"] == "" and "another0001" not in rows.index and len(rows) == 9
    remarks = "\n".join(found.imported.remarks)
    assert "not in ovave_dataset_meta.csv, and have no split: 1 (-5e00000001)" in remarks
    assert "ovave_dataset_meta.csv without an annotation, which are no rows: 1 (another0001)" in remarks
    assert "-1e50000000: is 'bowling impact' here and 'bowling' in the CSV" in remarks


@pytest.mark.parametrize("mini", ["unav100"], indirect=True)
def test_another_set_of_the_same_format_is_suspected(mini):
    data = json.loads((mini / UNAV).read_text())
    clip = data["database"]["0x1F0000000"]
    clip["annotations"] = [{"segment": [k / 10, k / 10 + 0.5], "label": f"class {k}", "label_id": k} for k in range(120)]
    (mini / UNAV).write_text(json.dumps(data))
    assert any("UnAV-100 has 100: are these its files?" in remark for remark in import_set(mini).imported.remarks)


def test_the_wrong_set_is_met_with_its_name(minis, capsys, tmp_path):
    out = ["--out_csv", str(tmp_path / "x.csv")]
    for name, other in (("unav100", "llp"), ("ave", "ovave"), ("llp", "unav100")):
        assert cli.main(["annotations", "--from", name, "--file", str(minis / other), *out]) == 1
        assert f"it looks like {SETS[other].title}: say {other}" in capsys.readouterr().err
    assert cli.main(["annotations", "--from", "elan", "--file", str(minis / "llp"), *out]) == 1
    assert "a folder can be one of ave, unav100, ovave, llp; of elan name the files" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert cli.main(["annotations", "--from", "auto", "--file", str(tmp_path / "empty"), *out]) == 1
    assert "no data set that is known in" in capsys.readouterr().err
    assert cli.main(["annotations", "--from", "llp", "--file", str(minis / "llp"), str(tmp_path / "x.txt"), *out]) == 1
    assert "x.txt is not a folder: name the folders of a data set, or files, and not both" in capsys.readouterr().err


@pytest.mark.parametrize("mini", ["llp"], indirect=True)
def test_clips_may_be_named_by_the_whole_id_or_lie_elsewhere(mini, tmp_path):
    videos = mini / "data/LLP_dataset/video"
    for path in list(videos.iterdir()):
        path.rename(path.with_name(f"{path.stem}_30_40.mp4"))
    whole = import_set(mini)
    assert len(whole.files.present) == 6 and "-5e00000001_30_40" in whole.files.present
    videos.rename(tmp_path / "v i d")
    alone = import_set(mini)
    assert alone.vid_dir is None and "FOLDER_OF_CLIPS" in alone.next_command("llp.csv") and len(alone.files.missing) == 8
    both = import_set([mini, tmp_path / "v i d"])
    assert both.files.present == whole.files.present and "'" in both.next_command("llp.csv"), "a blank in a path is quoted"
    (both.vid_dir / "-5e00000001_30_40.mp4").write_bytes(b"")
    (both.vid_dir / "0x1F0000000_30_40.mkv").write_bytes(b"x")
    again = import_set([mini, tmp_path / "v i d"])
    assert again.files.empty == ("-5e00000001_30_40",)
    assert any("0x1F0000000_30_40 has two files" in remark for remark in again.imported.remarks)


@pytest.mark.parametrize("mini", ["llp"], indirect=True)
def test_what_is_not_searched_is_said(mini, tmp_path, monkeypatch):
    videos = mini / "data/LLP_dataset/video"
    whole = import_set(mini)
    videos.rename(tmp_path / "large disk")
    videos.symlink_to(tmp_path / "large disk")
    linked = import_set(mini)
    assert linked.vid_dir is None
    assert f"{videos} is a link to a folder, and not followed: name it, too" in str(linked)
    for folders in ([mini, videos], [mini, tmp_path / "large disk"]):
        both = import_set(folders)
        assert both.files == whole.files and both.vid_dir == folders[1] and "link to a folder" not in str(both)
    (tmp_path / "all").mkdir()
    (tmp_path / "all/data").symlink_to(mini / "data")
    with pytest.raises(FileNotFoundError, match="all/data is a link to a folder, and not followed: name it, too"):
        import_set(tmp_path / "all")
    is_file = Path.is_file

    def refused(self):
        if self.suffix == ".mp4":
            raise PermissionError(13, "Permission denied", str(self))
        return is_file(self)

    monkeypatch.setattr(Path, "is_file", refused)
    assert "0x1F0000000.mp4 cannot be looked at: Permission denied" in str(import_set([mini, videos]).imported.remarks)


def test_what_is_read_is_never_written_over(minis, tmp_path, capsys):
    shutil.copytree(minis, tmp_path / "m")
    for name, path in (
        ("llp", "data/AVVP_train.csv"),
        ("ovave", META),
        ("unav100", UNAV),
        ("ave", "testSet.txt"),
        ("ave", "Annotations.txt"),
    ):
        source = tmp_path / "m" / name / path
        before = source.read_bytes()
        ways = [[str(tmp_path / "m" / name)]] + [[str(source)]] * (path in (UNAV, "Annotations.txt"))
        for files in ways:
            assert cli.main(["annotations", "--from", name, "--file", *files, "--out_csv", str(source)]) == 1
            assert "is one of the files that are read, and would be lost: write to another file" in capsys.readouterr().err
        assert source.read_bytes() == before
    text = tmp_path / "m/ave/Annotations.txt"
    assert cli.main(["annotations", "--txt", str(text), "--out_csv", str(text.with_name("valSet.txt"))]) == 1
    assert cli.main(["annotations", "--from", "llp", "--file", str(tmp_path / "m/llp"), "--out_csv", str(tmp_path / "m")]) == 1
    assert "m is a folder: name a file to write" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["m"], "nothing is written, not even what is heard and seen"


def test_a_file_that_is_named_twice_is_read_once(minis, tmp_path, monkeypatch):
    once = import_annotations([minis / "ovave" / ANNO, minis / "ovave" / META])
    monkeypatch.chdir(minis / "ovave")
    twice = import_annotations([ANNO, META, minis / "ovave" / ANNO, f"./{META}"])
    assert twice.table.equals(once.table)


def test_a_miniature_is_the_same_at_every_call(minis, tmp_path):
    again = make_miniature(tmp_path / "again", "llp")
    for path in sorted((minis / "llp").rglob("*.*")):
        assert (again / path.relative_to(minis / "llp")).read_bytes() == path.read_bytes(), path.name
    assert sorted(tmp_path.iterdir()) == [again], "nothing unfinished is left"


def test_the_page_has_the_numbers_of_the_descriptions():
    page = (Path(__file__).parents[1] / "nbs/howto/which_dataset.md").read_text(encoding="utf-8")
    rows = {
        cells[0].strip(): [cell.strip() for cell in cells[1:]]
        for line in page.splitlines()
        if len(cells := line.strip("|").split("|")) == 5
    }
    for k, known in enumerate(SETS.values()):
        assert rows[""][k] == known.title, "in the order of the descriptions"
        assert rows["clips"][k].startswith(f"{known.n_clips:,}") and re.match(rf"{known.n_classes}\b", rows["classes"][k])
        assert (rows["a clip lasts"][k] == "10 s") == (known.clip_s == 10) and (rows["annotated in"][k] == "whole seconds") == (
            known.unit_s == 1
        )
        assert known.source.partition(": ")[0] in page
