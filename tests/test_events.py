"""Events one by one: which evaluations have them, what is written, and that everything else stays as it is."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from avesound import cli
from avesound.embeddings.store import audio_file, read_embeddings, video_file, write_embeddings
from avesound.evaluation.evaluate import evaluate
from avesound.evaluation.plan import Scoring
from avesound.metrics.events import MOST_MOMENTS, apart_array, event_numbers, found_events, paired_events, pairwise_tiou, read_moments
from avesound.timeline import Interval, sliding_windows, time_grid

SECONDS, STRIDE = 30.0, 0.25
EVENTS = [(2.0, 5.0, "a"), (9.0, 10.0, "b"), (14.0, 20.0, "a"), (24.0, 26.5, "c")]


def towers(folder, ids, lasts):
    "Caches of two towers that see and hear apart: vectors agree while `lasts(t)`."
    rng = np.random.default_rng(0)
    windows = sliding_windows(SECONDS, 1.0, STRIDE)
    during = np.array([lasts(t) for t in windows.centers_sec])[:, None]
    encoder = {"name": "towers", "dim": 24, "joint": True, "weights": "none", "video_hears": False}
    meta = {"encoder": encoder, "stride_s": STRIDE, "duration_s": SECONDS, "fingerprint": "x"}
    for name in ids:
        shared = 1.5 * during * rng.normal(size=(len(windows), 24))
        write_embeddings(video_file(folder / "v", name), shared + rng.normal(size=shared.shape), windows, meta)
        write_embeddings(audio_file(folder / "a", name, 1.0), shared + rng.normal(size=shared.shape), windows, meta)
    return folder / "v", folder / "a"


def annotated(path, ids, events=EVENTS):
    rows = [(video_id, label, start, end, "good", "test") for video_id in ids for start, end, label in events]
    pd.DataFrame(rows, columns=["video_id", "event_label", "start_s", "end_s", "quality", "split"]).to_csv(path, index=False)
    return path


@pytest.fixture
def made(tmp_path):
    ids = [f"clip{k}" for k in range(12)]
    cache = towers(tmp_path / "cache", ids, lambda t: any(start <= t < end for start, end, _ in EVENTS))
    return tmp_path, cache, ids


QUICK = Scoring(n_boot=100, n_shuffles=5)


def test_events_are_counted_one_by_one_beside_the_tables(made):
    folder, cache, ids = made
    csv = annotated(folder / "events.csv", ids)
    result = evaluate(cache, csv, scoring=QUICK)
    table = result.events
    assert table.n_clips == 12 and table.n_events == 48 == len(table.events) and table.n_overlapping == 0
    assert table.means["encoder"]["moment_ap"].mean > 0.8 > table.means["shuffled"]["moment_ap"].mean + 0.2
    assert table.means["encoder"]["recall_0.5"].mean > table.means["uniform"]["recall_0.5"].mean
    assert result.overall.events == table.as_json() and str(table) in str(result)
    result.save(folder / "r/summary.csv")
    written = pd.read_csv(folder / "r/summary_events.csv")
    assert list(written.columns[:-1]) == list(table.events.columns) and len(written) == 48 and written["event_label"].nunique() == 3
    record = json.loads((folder / "r/summary.json").read_text())
    assert record["events"]["n_events"] == 48 and written["run_id"].unique().tolist() == [record["run"]["id"]]


def test_with_one_event_a_clip_nothing_is_said_of_events(made):
    folder, cache, ids = made
    csv = annotated(folder / "one.csv", ids, EVENTS[:1])
    result = evaluate(cache, csv, scoring=QUICK)
    result.save(folder / "r/summary.csv")
    assert result.events is None and "events one by one" not in str(result)
    assert "events" not in json.loads((folder / "r/summary.json").read_text())
    assert not (folder / "r/summary_events.csv").exists()


def test_events_of_two_labels_at_once_are_two(made):
    folder, cache, ids = made
    csv = annotated(folder / "both.csv", ids, [(2.0, 5.0, "a"), (3.0, 5.0, "b")])
    result = evaluate(cache, csv, scoring=QUICK)
    assert result.events.n_events == 24 and result.events.n_overlapping == 24
    assert (result.summary["n_events"] == 1).all(), "for the tables about clips they are one, as ever"


def test_the_tables_about_clips_do_not_know_of_events_counted_one_by_one(made):
    "The same union of events, with one label and with two, gives the same tables to the digit."
    folder, cache, ids = made
    whole = evaluate(cache, annotated(folder / "whole.csv", ids, [(2.0, 6.0, "a")]), scoring=QUICK)
    halves = evaluate(cache, annotated(folder / "halves.csv", ids, [(2.0, 4.0, "a"), (4.0, 6.0, "b")]), scoring=QUICK)
    assert whole.events is None and halves.events.n_events == 24
    assert str(replace(halves, events=None)) == str(whole)


def test_two_runs_that_differ_in_their_events_alone_have_two_ids(made):
    folder, cache, ids = made
    saved = []
    for name, events in (("one", [(2.0, 5.0, "a"), (9.0, 10.0, "b")]), ("other", [(9.0, 10.0, "a"), (2.0, 5.0, "b")])):
        result = evaluate(cache, annotated(folder / f"{name}.csv", ids, events), scoring=QUICK)
        saved.append(result.save(folder / f"{name}/summary.csv"))
    one, other = saved
    assert one.summary.equals(other.summary) and str(one) == str(other)
    assert one.overall.run["id"] != other.overall.run["id"]


def test_a_second_file_of_annotations_has_events_of_its_own(made):
    folder, cache, ids = made
    several, one = annotated(folder / "several.csv", ids), annotated(folder / "one.csv", ids, EVENTS[:1])
    result = evaluate(cache, one, scoring=replace(QUICK, also=several))
    assert result.events is None and result.also.events.n_events == 48 and "events one by one: 48" in str(result)
    result.save(folder / "r/summary.csv")
    assert (folder / "r/summary_also_events.csv").exists() and not (folder / "r/summary_events.csv").exists()


def test_the_command_says_where_the_events_are(made, capsys):
    folder, cache, ids = made
    csv = annotated(folder / "events.csv", ids)
    out = folder / "r/summary.csv"
    line = f"evaluate --vid_emb_dir {cache[0]} --aud_emb_dir {cache[1]} --annotations_csv {csv} --summary_csv {out} --n_boot 50"
    assert cli.main(line.split()) == 0
    said = capsys.readouterr().out
    assert "events one by one: 48 in 12 partial clips" in said and "summary_events.csv" in said.splitlines()[-1]


def test_a_baseline_is_counted_on_the_clips_that_it_answers(made):
    "The sound of four clips has its loudness beside it, and no picture has its motion."
    folder, cache, ids = made
    rng = np.random.default_rng(1)

    def sounding(windows):
        return np.array([any(start <= t < end for start, end, _ in EVENTS) for t in windows.centers_sec])

    for name in ids[:4]:
        path = audio_file(cache[1], name, 1.0)
        own = read_embeddings(path)
        write_embeddings(path, own.emb, own.windows, own.meta, loudness_db=rng.normal(-30, 5, len(own.emb)) + 20 * sounding(own.windows))
    whole, part = (evaluate(cache, annotated(folder / f"{len(some)}.csv", some), scoring=QUICK).events for some in (ids, ids[:4]))
    for metric, cell in whole.means["loudest"].items():
        assert cell.n == 4 and cell.mean == part.means["loudest"][metric].mean
        assert np.isnan(whole.means["motion"][metric].mean) and whole.means["motion"][metric].n == 0
        difference = whole.differences[metric]
        assert set(difference.to) == {"uniform", "centre", "loudest", "shuffled"} and difference.to["loudest"].n == 4
        assert np.isclose(difference.to["loudest"].mean, part.means["encoder"][metric].mean - part.means["loudest"][metric].mean)
        assert difference.to_best.mean == min(to.mean for to in difference.to.values())
    assert whole.means["loudest"]["recall_0.3"].mean > 0
    assert "loudest has an answer for 4 of 12 clips; its row is about these alone" in str(whole)
    assert "motion has an answer for none of 12 clips" in str(whole)
    assert any(line.split() == ["motion", *"–––––"] for line in str(whole).splitlines())


def test_dead_curves_are_no_clips_of_the_table(tmp_path):
    ids = ["a", "b", "dead"]
    cache = towers(tmp_path, ids, lambda t: 2 <= t < 5 or 9 <= t < 10)
    windows = sliding_windows(SECONDS, 1.0, STRIDE)
    meta = read_embeddings(video_file(cache[0], "dead")).meta
    write_embeddings(video_file(cache[0], "dead"), np.ones((len(windows), 24)), windows, meta)
    write_embeddings(audio_file(cache[1], "dead", 1.0), np.ones((len(windows), 24)), windows, meta)
    csv = annotated(tmp_path / "events.csv", ids)
    table = evaluate(cache, csv, scoring=QUICK).events
    assert table.n_clips == 2 and set(table.events["video_id"]) == {"a", "b"}
    only = annotated(tmp_path / "dead.csv", ["dead"])
    assert evaluate(cache, only, scoring=QUICK).events is None


# By plain loops


def slow_numbers(events, moments, threshold):
    "Recall, and average precision over moments, clip by clip and moment by moment; events of a clip are disjoint."
    found, ranked, n_events = 0, [], sum(map(len, events))
    for b, own in enumerate(events):
        intervals = [i for i in moments.interval[b] if not np.isnan(i[0])]
        overlap = [[max(0, min(e.end_s, i[1]) - max(e.start_s, i[0])) for i in intervals] for e in own]
        union = [[e.duration_s + i[1] - i[0] - o for i, o in zip(intervals, row)] for e, row in zip(own, overlap)]
        found += sum(any(o >= threshold * u for o, u in zip(*rows)) for rows in zip(overlap, union))
        left = list(own)
        for t, score in zip(moments.t_sec[b], moments.score[b]):
            if not np.isnan(t):
                event = next((e for e in left if t in e), None)
                ranked.append((-score, event is not None))
                left = [e for e in left if e is not event]
    ranked.sort(key=lambda pair: pair[0])
    precision = [sum(right for _, right in ranked[: k + 1]) / (k + 1) for k in range(len(ranked))]
    area = sum(max(precision[k:]) for k, (_, right) in enumerate(ranked) if right)
    return found / n_events, area / n_events


@pytest.mark.parametrize("seed", range(5))
def test_numbers_are_what_plain_loops_compute(seed):
    rng = np.random.default_rng(seed)
    events = []
    for _ in range(15):
        bounds = np.sort(rng.uniform(0, 20, 2 * rng.integers(1, 5)))
        events.append([Interval(a, b) for a, b in bounds.reshape(-1, 2)])
    moments = read_moments(rng.normal(size=(15, 80)).cumsum(axis=1), time_grid(20, 0.25))
    found = found_events(apart_array(events), moments)
    numbers = event_numbers(found, n_boot=20, seed=seed)
    for threshold in (0.3, 0.5, 0.7):
        recall, area = slow_numbers(events, moments, threshold)
        assert numbers[f"recall_{threshold}"].value == pytest.approx(recall)
        assert numbers["moment_ap"].value == pytest.approx(area)


def test_resamples_are_of_clips():
    "A clip that is drawn twice brings all of its events twice: the same as an evaluation of those clips."
    from avesound.metrics.bootstrap import resample_counts

    rng = np.random.default_rng(1)
    events = apart_array([[Interval(a, a + 1) for a in rng.choice(18, rng.integers(1, 6), replace=False)] for _ in range(9)])
    moments = read_moments(rng.normal(size=(9, 80)), time_grid(20, 0.25))
    numbers = event_numbers(found_events(events, moments), n_boot=4, seed=3)
    for k, counts in enumerate(resample_counts(9, 4, 3)):
        rows = np.repeat(np.arange(9), counts.astype(int))
        again = event_numbers(found_events(events[rows], type(moments)(*(part[rows] for part in vars(moments).values()))), n_boot=1)
        for name, number in numbers.items():
            assert number.drawn[k] == pytest.approx(again[name].value), name


def test_moments_of_a_clip_do_not_overlap():
    rng = np.random.default_rng(2)
    moments = read_moments(rng.normal(size=(40, 200)).cumsum(axis=1), time_grid(50, 0.25))
    overlap = pairwise_tiou(moments.interval, moments.interval)
    assert (overlap * ~np.eye(MOST_MOMENTS, dtype=bool) == 0).all() and (overlap > 0).any(axis=2)[:, 0].all()
    assert paired_events(np.zeros((3, 2, 4), bool)).tolist() == [[-1, -1]] * 3
