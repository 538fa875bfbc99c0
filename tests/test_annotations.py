"Annotations: text -> table -> CSV -> table for arbitrary content, damaged files, and the real files where they are at hand."

import csv
import os
import string
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avesound.data.annotations import (
    AVE_CATEGORIES,
    COLUMNS,
    annotations_table,
    check_annotations,
    clips_from_annotations,
    convert_annotations,
    read_annotations,
    read_ave_txt,
    write_annotations,
)

DATA = Path(os.environ.get("AVESOUND_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
needs_data = pytest.mark.skipif(not (DATA / "ave" / "Annotations.txt").exists(), reason="the real data are not here (AVESOUND_TEST_DATA)")
HEADER = "video_id,event_label,start_s,end_s\n"
SHARED_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

letters = st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="&/\\\ufeff")
names = st.text(letters, min_size=1, max_size=12).map(str.strip).filter(lambda text: text not in ("", ".", ".."))
odd_names = st.sampled_from(
    [
        "1e5",
        "007",
        "NA",
        "nan",
        "NaN",
        "-inf",
        "None",
        "null",
        "TRUE",
        "=1+1",
        "@x",
        "+1",
        "-a",
        '"',
        '""',
        "a,b",
        ",",
        "'",
        "#",
        "\ufeffx",
        "1_0",
        " ",
        "﹒",
        "-",
    ]
)
ids = st.one_of(names, odd_names.map(str.strip).filter(bool))
times = st.one_of(st.integers(0, 10).map(float), st.floats(0, 1e6, allow_nan=False))
events = st.tuples(ids, names, times, times).map(lambda row: (row[0], row[1], *sorted(row[2:])))


@SHARED_FOLDER
@given(
    rows=st.lists(events, min_size=1, max_size=12),
    header=st.booleans(),
    newline=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
    data=st.data(),
)
def test_text_to_table_to_csv_to_table(tmp_path, rows, header, newline, bom, data):
    lines = [f"{label}&{video_id}&good&{start!r}&{end!r}" for video_id, label, start, end in rows]
    first = ["Category&VideoID&Quality&StartTime&EndTime"] if header else []
    (tmp_path / "Annotations.txt").write_text(
        ("\ufeff" if bom else "") + newline.join([*first, *lines, "", ""]), encoding="utf-8", newline=""
    )
    split_of_row = {row: data.draw(st.sampled_from(["train", "val", "test", ""])) for row in rows}
    for split in ("train", "val", "test"):
        chosen = [line for line, row in zip(lines, rows) if split_of_row[row] == split]
        (tmp_path / f"{split}Set.txt").write_text("\n".join(chosen), encoding="utf-8")
    table = annotations_table(tmp_path / "Annotations.txt")
    assert [tuple(row) for row in table.itertuples(index=False)] == [
        (i, label, s, e, "good", split_of_row[i, label, s, e]) for i, label, s, e in rows
    ]
    back = read_annotations(write_annotations(table, tmp_path / "out.csv"))
    pd.testing.assert_frame_equal(back, table)
    assert set(clips_from_annotations(back)) == {row[0] for row in rows}
    assert check_annotations(back).n_rows == len(rows)


@SHARED_FOLDER
@given(text=st.text(st.sampled_from(list(string.digits + 'ab&,;."\n\r\t -+e_\ufeff\x00')), max_size=60))
def test_any_text_is_read_whole_or_refused(tmp_path, text):
    for name, read in (("x.txt", read_ave_txt), ("x.csv", read_annotations)):
        (tmp_path / name).write_text(HEADER * name.endswith("csv") + text, encoding="utf-8", newline="")
        try:
            table = read(tmp_path / name)
        except ValueError as error:
            assert name in str(error)
        else:
            # nothing is dropped: as many rows as a plain count of the lines that hold something
            content = text.replace("\ufeff", "", 1) if text.startswith("\ufeff") and name == "x.txt" else text
            rows = (
                [line for line in content.replace("\r\n", "\n").replace("\r", "\n").split("\n") if line.strip()]
                if name == "x.txt"
                else [row for row in csv.reader(text.splitlines(True)) if any(f.strip() for f in row)]
            )
            assert len(table) == len(rows)


@SHARED_FOLDER
@given(raw=st.binary(max_size=80))
def test_any_bytes_give_a_table_or_a_value_error(tmp_path, raw):
    (tmp_path / "x").write_bytes(HEADER.encode() + raw)
    for read in (read_ave_txt, read_annotations):
        try:
            read(tmp_path / "x")
        except ValueError as error:
            assert str(tmp_path / "x") in str(error)


@pytest.mark.parametrize("video_id", ["1e5", "007", "NA", "nan", "-inf", "None", "1_000", "0x1F", "true", "2020-01-01"])
def test_an_id_is_always_text(tmp_path, video_id):
    (tmp_path / "a.csv").write_text(f"{HEADER}{video_id},Bark,0,1\n", encoding="utf-8")
    assert read_annotations(tmp_path / "a.csv").video_id.tolist() == [video_id]


@pytest.mark.parametrize(
    "start, end, words",
    [
        ("5", "3", "ends before"),
        ("x", "3", "got 'x'"),
        ("0", "", "empty|got ''"),
        ("nan", "1", "got 'nan'"),
        ("-1", "1", "before the clip"),
        ("0", "1e999", "got '1e999'"),
        ("1_0", "11", "got '1_0'"),
        ("٣", "4", "got '٣'"),
    ],
)
def test_impossible_times_are_named(tmp_path, start, end, words):
    (tmp_path / "a.csv").write_text(f"{HEADER}ok,Bark,0,1\nid,Bark,{start},{end}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"a\.csv, line 3: .*({words})"):
        read_annotations(tmp_path / "a.csv")
    (tmp_path / "a.txt").write_text(f"Bark&ok&good&0&1\nBark&id&good&{start}&{end}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"a\.txt, line 2: .*: 'Bark&id&good&{start}&{end}'"):
        read_ave_txt(tmp_path / "a.txt")


@pytest.mark.parametrize(
    "line",
    [
        "Bark&a&good&0&1&2",
        "Bark&a&good&0",
        "Bark",
        "&a&good&0&1",
        "Bark&&good&0&1",
        "Bark&a/b&good&0&1",
        "Bark&a&good&0&1&",
        "Category&VideoID&Quality&StartTime&EndTime",
    ],
)
def test_a_malformed_line_is_named_with_its_text(tmp_path, line):
    (tmp_path / "a.txt").write_text(f"Category&VideoID&Quality&StartTime&EndTime\n\nBark&ok&good&0&1\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"a\.txt, line 4: .*{line}"):
        read_ave_txt(tmp_path / "a.txt")


@pytest.mark.parametrize(
    "content, words",
    [
        ("", "no annotation"),
        (HEADER, "no annotation"),
        (HEADER.replace(",", ";") + "a;Bark;0;1\n", "line 1: no column .*semicolons"),
        ("video_id,event_label,start_s\na,Bark,0\n", "line 1: no column end_s"),
        (HEADER.replace("\n", ",end_s\n") + "a,Bark,0,1,2\n", "line 1: .*'end_s' twice"),
        (f"{HEADER}a,Baby cry, infant cry,0,1\n", "line 2: 5 fields .*double quotes"),
        (f"{HEADER}a,Bark,0\n", "line 2: 3 fields"),
        (f'{HEADER}a,Bark,0,1\n"b,Bark,0,1\n', "line 3: not a CSV row"),
        (f"{HEADER}a,Bark,0,1\na,none,,\n", "'a' has an event on line 2 and.* line 3"),
    ],
)
def test_a_wrong_csv_is_one_clear_error(tmp_path, content, words):
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"a\.csv[:,] ?.*{words}"):
        read_annotations(tmp_path / "a.csv")


def test_ids_that_are_numbers_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="row 0: video_id 7 is not text"):
        write_annotations(pd.DataFrame({"video_id": [7], "event_label": "x", "start_s": 0.0, "end_s": 1.0}), tmp_path / "a.csv")


def test_a_split_row_that_is_not_annotated_is_an_error(tmp_path):
    (tmp_path / "Annotations.txt").write_text("Bark&a&good&0&3\n", encoding="utf-8")
    (tmp_path / "testSet.txt").write_text("Bark&a&good&0&3\nBark&a&good&0&4\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"testSet\.txt: 1 rows are not in .*line 2: Bark of a, 0 to 4 s"):
        annotations_table(tmp_path / "Annotations.txt")


def test_line_numbers_count_lines_inside_quotes(tmp_path):
    (tmp_path / "a.csv").write_text('video_id,event_label,start_s,end_s,notes\na,Bark,0,1,"two\nlines"\nb,Bark,0,x,\n', encoding="utf-8")
    with pytest.raises(ValueError, match="line 4: end_s"):
        read_annotations(tmp_path / "a.csv")


def test_an_extra_column_survives_with_commas_quotes_and_line_breaks(tmp_path):
    notes = ['said "no"', "a,b", "two\nlines", "", " kept ", "two\r\nlines", "old\rmac"]
    table = pd.DataFrame(
        {"video_id": list("abcdefg"), "event_label": "Bark", "start_s": 0.0, "end_s": 1.0, "quality": "", "split": "", "notes": notes}
    )
    pd.testing.assert_frame_equal(read_annotations(write_annotations(table, tmp_path / "a.csv")), table)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    good = pd.DataFrame({"video_id": ["a"], "event_label": ["Bark"], "start_s": [0.0], "end_s": [1.0]})
    target = write_annotations(good, tmp_path / "new" / "a.csv")
    before = target.read_bytes()
    with pytest.raises(ValueError):
        write_annotations(good.assign(end_s=-1.0), target)

    def full(*args):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        write_annotations(good.assign(event_label="Cat"), target)
    assert target.read_bytes() == before and [p.name for p in target.parent.iterdir()] == ["a.csv"]


def test_split_goes_by_row_and_not_by_id(tmp_path):
    (tmp_path / "Annotations.txt").write_text("Bark&a&good&0&3\nCat&a&good&0&3\nBark&a&good&5&9\n", encoding="utf-8")
    (tmp_path / "TRAINSET.TXT").write_text("Bark&a&good&5&9\n", encoding="utf-8")  # found whatever its case
    (tmp_path / "testSet.txt").write_text("Cat&a&good&0&3\n", encoding="utf-8")
    table = annotations_table(tmp_path / "Annotations.txt")
    assert table.split.tolist() == ["", "test", "train"]
    report = check_annotations(table)
    assert report.shared_ids == {("train", "test"): ("a",)} and report.split_rows == {"train": 1, "test": 1, "": 1}
    assert clips_from_annotations(table)["a"].split == "test|train"


@needs_data
def test_official_facts_counted_anew(tmp_path):
    "Against a count that shares no code with the package: plain lines, sets and sums."
    rows = [line.split("&") for line in (DATA / "ave" / "Annotations.txt").read_text().splitlines()]
    report = convert_annotations(DATA / "ave" / "Annotations.txt", tmp_path / "ave.csv")
    spans = [(float(s), float(e)) for *_, s, e in rows]
    partial = [(s, e) for s, e in spans if e > s and (s, e) != (0, 10)]
    assert report.n_rows == len(rows) == 4143 and report.n_clips == len({row[1] for row in rows}) == 4097
    assert report.n_partial == len(partial) == 1392
    for facts, chosen in ((report.centre_all, spans), (report.centre_partial, partial)):
        assert facts.inside_closed == pytest.approx(sum(s <= 5 <= e for s, e in chosen) / len(chosen))
        assert facts.inside == pytest.approx(sum(s <= 5 < e for s, e in chosen) / len(chosen))
        assert facts.mae_s == pytest.approx(sum(abs(5 - (s + e) / 2) for s, e in chosen) / len(chosen))
        assert facts.dist_s == pytest.approx(sum(max(s - 5, 5 - e, 0) for s, e in chosen) / len(chosen))
        assert facts.oracle_mae_s == pytest.approx(sum((e - s) / 4 for s, e in chosen) / len(chosen))
    split_lines = {split: (DATA / "ave" / f"{split}Set.txt").read_text().splitlines() for split in ("train", "val", "test")}
    assert report.split_rows == {split: len(lines) for split, lines in split_lines.items()}
    in_split = {split: {line.split("&")[1] for line in lines} for split, lines in split_lines.items()}
    assert {pair: set(ids) for pair, ids in report.shared_ids.items()} == {(a, b): in_split[a] & in_split[b] for a, b in report.shared_ids}
    assert sorted((DATA / "ave" / "categories.txt").read_text().split("\n")) in (list(AVE_CATEGORIES), ["", *AVE_CATEGORIES])
    pd.testing.assert_frame_equal(read_annotations(tmp_path / "ave.csv"), annotations_table(DATA / "ave" / "Annotations.txt"))


@needs_data
def test_the_real_clips(tmp_path):
    table = read_annotations(DATA / "clips" / "annotations.csv")
    assert table.columns.tolist()[:6] == list(COLUMNS) and {"confidence", "notes", "onsets_s"} <= set(table.columns)
    with (DATA / "clips" / "annotations.csv").open(newline="") as file:
        raw = list(csv.DictReader(file))
    assert table.video_id.tolist() == [row["video_id"] for row in raw] and table.confidence.tolist() == [row["confidence"] for row in raw]
    clips = clips_from_annotations(table)
    assert sum(clip.events == () for clip in clips.values()) == sum(row["start_s"] == "" for row in raw) > 0
    two = clips["-2RPPODqLy4_30.000_40.000"]
    assert [(e.start_s, e.end_s) for e in two.events] == [(0, 4), (9, 10)]
    pd.testing.assert_frame_equal(read_annotations(write_annotations(table, tmp_path / "again.csv")), table)
    assert len(read_ave_txt(DATA / "clips" / "Annotations.txt")) == 24
    assert "rows that say “no event”" in str(check_annotations(table)) and check_annotations(table).n_no_event == int(
        np.isnan(table.start_s).sum()
    )
    assert "Hammering" in check_annotations(table).unknown_categories and "none" not in check_annotations(table).unknown_categories
