"Encoders measured by one command: noise is nowhere, copies are named, nothing is done twice, unequal cards are not ranked together."

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avesound import cli
from avesound.benchmark import BenchmarkProtocol, SynthClips, benchmark, data_sets
from avesound.data.annotations import read_annotations, write_annotations
from avesound.data.sets import SETS, import_set, make_miniature
from avesound.data.splits import read_clips
from avesound.embeddings.extract import RunSettings
from avesound.embeddings.similarity import similarity_set
from avesound.embeddings.store import CacheError
from avesound.evaluation.audit import audit_crossmodal, copied_answers, known_events, read_predictions
from avesound.evaluation.card import Card, read_card
from avesound.evaluation.crossmodal import DIRECTIONS, Query, evaluate_crossmodal, place_scores, queries_of_clips, segment_vectors
from avesound.evaluation.plan import choose_clips
from avesound.localization.align import cosine_similarity
from avesound.report.leaderboard import leaderboard
from conftest import DATA, ROOT

QUICK = BenchmarkProtocol(lengths=(1.0,), taus=(0.2, 1.0), smooth_sigmas=(0.0, 0.5), zscores=(True,), n_boot=300)


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> tuple[Path, dict[str, Card]]:
    "Cards of signal and noise on the same short clips, and the folder that holds everything."
    folder = tmp_path_factory.mktemp("benchmark")
    how = {
        "data": "synth-medium",
        "protocol": QUICK,
        "synth": SynthClips(str(folder / "clips"), n_train=4, n_val=6, n_test=24),
        "progress": False,
    }
    return folder, {name: benchmark(name, out_dir=folder / name, **how) for name in ("signal", "noise")}


def apart(gap) -> float:
    "By how many halves of its interval a difference is away from 0."
    return abs(gap.mean) / max((gap.high - gap.low) / 2, 1e-3)


def test_noise_is_where_uniform_is_and_signal_is_not(measured):
    "Within twice its interval: six of them are looked at, and one in twenty misses by chance."
    _, cards = measured
    part = cards["noise"].sets["medium"]
    gaps = {f"{m}, {subset}": part.differences[subset][m].to["uniform"] for m in ("dist", "mass_inside", "auroc") for subset in part.means}
    assert {name: gap for name, gap in gaps.items() if apart(gap) > 2} == {} and sum(apart(gap) > 1 for gap in gaps.values()) <= 3
    gap = cards["signal"].sets["medium"].differences["partial"]["dist"].to["uniform"]
    assert gap.high < 0
    (board,) = leaderboard(list(cards.values())).boards
    at = {entry.name: entry for entry in board.entries}
    for name, card in cards.items():
        on_card = card.sets["medium"].means["partial"]["encoder"]
        assert all(np.allclose(list(vars(at[name].cells[m]).values()), list(vars(on_card[m]).values())) for m in board.metrics), name
    assert at["signal"].rank == 1 and at["noise"].rank is None and at["noise"].kind == "control" and at["noise"].to_first.low > 0


def test_settings_are_chosen_on_val_and_the_test_is_scored_once(measured):
    folder, cards = measured
    part, selection = cards["noise"].sets["medium"], json.loads((folder / "noise/sets/medium/sweep/selection.json").read_text())
    table = read_annotations(folder / "clips/medium/annotations.csv")
    of_split = {split: set(rows["video_id"]) for split, rows in table.groupby("split")}
    assert set(selection["video_ids"]) <= of_split["val"] and set(part.values["video_ids"]) <= of_split["test"]
    assert part.chosen["n_tried"] == 1 and len((folder / "noise/sets/medium/cache/evaluations.jsonl").read_text().splitlines()) == 1
    assert part.clips["n"] == 24 and sum(part.clips["status"].values()) == 24
    cached = {path.stem for path in (folder / "noise/sets/medium/cache/vid_emb").glob("*.npz")}
    assert cached == of_split["val"] | of_split["test"], "no training clip is read where no projector needs it"


def test_a_second_run_touches_nothing_and_a_lost_part_is_made_anew(measured, capsys):
    folder, cards = measured
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    words = f"benchmark --encoder noise --data synth-medium --out_dir {folder / 'again'} --synth_dir {folder / 'clips'}"
    words += " --n_train 4 --n_val 6 --n_test 24 --lengths 1.0 --n_boot 300"
    assert cli.main(words.split()) == 0
    after_one = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert before.items() <= after_one.items(), "the clips are shared, and are not made again"
    said = capsys.readouterr().out
    assert said.startswith("noise, weights none") and "\nmedium\n" in said
    assert cli.main(words.split()) == 0 and capsys.readouterr().out == said
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == after_one
    (folder / "again/sets/medium/set.json").unlink()
    made = json.loads((folder / "again/card.json").read_text())
    assert cli.main(words.split()) == 0
    again = json.loads((folder / "again/card.json").read_text())
    assert {**again, "run": 0} == {**made, "run": 0}
    assert again["sets"]["medium"]["chosen"]["n_tried"] == 1, "the same settings count once"


def test_another_protocol_or_other_clips_are_not_ranked_together(measured):
    _, cards = measured
    fewer = replace(cards["noise"], name="fewer", protocol=cards["noise"].protocol | {"n_boot": 50})
    part = cards["noise"].sets["medium"]
    moved = replace(cards["noise"], name="moved", sets={"medium": replace(part, clips=part.clips | {"sha256": "0"})})
    board = leaderboard([cards["signal"], fewer, moved])
    assert len(board.boards) == 3 and all(sum(e.kind != "baseline" for e in one.entries) == 1 for one in board.boards)
    assert "n_boot: 300 and 50" in str(board) and "other test clips" in str(board)


def test_what_is_no_result_has_no_rank(measured):
    from avesound.encoders.base import Problem

    _, cards = measured
    flawed = replace(cards["signal"].sets["medium"], problems=[Problem("oracle", "it was told")])
    control = replace(cards["noise"], sets={"medium": replace(cards["noise"].sets["medium"], problems=flawed.problems)})
    found = leaderboard([replace(cards["signal"], name="told", sets={"medium": flawed}), cards["signal"], control])
    (board,) = found.boards
    kinds = {entry.name: (entry.kind, entry.rank) for entry in board.entries}
    assert kinds["told"] == ("no result", None) and kinds["signal"] == ("encoder", 1) and board.first == "signal"
    assert found.reasons == ("medium: told is no result: it was told",), "of a control it is not said"
    assert all("it was told" in page for page in (str(found), found.as_markdown(), found.as_html()))


def test_a_folder_of_ones_own_with_a_broken_clip(small_set, tmp_path):
    "A clip that cannot be used is counted on the card, under its reason."
    import pandas as pd

    names = [f"clip-{i}" for i in range(6)] + ["broken", "absent"]
    splits = ["val", "val", "val", "test", "test", "test", "test", "test"]
    rows = [(name, "x", 1.0, 2.5, "good", split) for name, split in zip(names, splits)]
    write_annotations(
        pd.DataFrame(rows, columns=["video_id", "event_label", "start_s", "end_s", "quality", "split"]), tmp_path / "set/annotations.csv"
    )
    (tmp_path / "set/AVE").symlink_to(small_set)
    card = benchmark(
        "noise", f"mine={tmp_path / 'set'}", tmp_path / "out", protocol=QUICK, run=RunSettings(workers=1), progress=False, title="mine too"
    )
    clips = card.sets["mine"].clips
    assert clips["status"] == {"ok": 2, "no_audio": 1, "corrupt": 1, "missing": 1} and card.name == "mine too"
    assert "1 no_audio" in str(card) and leaderboard([card]).boards[0].entries[0].name
    lost = {entry.name: entry.n_lost for entry in leaderboard([card]).boards[0].entries}
    assert lost["mine too"] == 3
    with pytest.raises(CacheError, match="was made with other settings .*; choose another place with `out_dir`") as told:
        benchmark("signal", f"mine={tmp_path / 'set'}", tmp_path / "out", protocol=QUICK, run=RunSettings(workers=0), progress=False)
    assert "--overwrite" not in str(told.value), "it has none"


def test_two_towers_get_a_projector(tmp_path):
    how = {"protocol": QUICK, "synth": SynthClips(n_train=12, n_val=4, n_test=8), "run": RunSettings(workers=0), "progress": False}
    card = benchmark("noise", "synth-easy", tmp_path, audio_encoder="logmel", **how)
    assert card.name == "noise+logmel" and (tmp_path / "sets/easy/projector.safetensors").is_file()
    assert card.sets["easy"].problems == [] and card.is_control
    assert "projector: fitted on 12 clips of train, whose events were not looked at" in str(card)


@pytest.mark.parametrize("data, what", [("sunth", "data must be"), ("a/b=.", "different names"), ("synth,synth-easy", "different names")])
def test_wrong_data_is_named(data, what, tmp_path, capsys):
    assert cli.main(["benchmark", "--encoder", "signal", "--data", data, "--out_dir", str(tmp_path)]) == 1
    assert what in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    "Miniatures of every published data set, each in the folder of its name."
    folder = tmp_path_factory.mktemp("published")
    for name in SETS:
        make_miniature(folder / name, name)
    return folder


def test_published_sets_are_read_as_their_authors_publish_them(published, tmp_path):
    words = [*(f"{name}={published / name}" for name in SETS), f"mine={published / 'llp'}"]
    made = data_sets(words, tmp_path)
    for data in made:
        own = import_set(published / ("llp" if data.name == "mine" else data.name))
        table = read_annotations(data.annotations_csv)
        assert dict(zip(table["video_id"], table["split"])) == dict(zip(own.imported.table["video_id"], own.imported.table["split"]))
        assert len(table) == len(own.imported.table) and data.vid_dir == own.vid_dir and {"val", "test"} <= set(table["split"])
        assert data.about["published"] == SETS[own.name].title and data.about["left_out"] == len(own.imported.left_out)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert len(before) == 5 and data_sets(words, tmp_path) == made
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before, "what is there is left alone"
    made[0].annotations_csv.write_text("something else")
    assert data_sets(words, tmp_path) == made, "and made anew where it is another"


def test_a_published_set_gets_a_card_with_all_its_clips(published, tmp_path, capsys):
    words = f"benchmark --encoder noise --data llp={published / 'llp'} --out_dir {tmp_path / 'out'} --lengths 1.0 --n_boot 50 --workers 0"
    assert cli.main(words.split()) == 0
    said, part = capsys.readouterr().out, read_card(tmp_path / "out").sets["llp"]
    assert "annotations: as published for LLP, 1 of them unusable" in said and part.data["published"] == "LLP"
    assert part.clips["n"] == 3 and part.clips["status"] == {"ok": 2, "no_event": 1} and part.presence
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert cli.main(words.split()) == 0 and capsys.readouterr().out == said
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()} == files


def test_clips_of_a_published_set_may_be_behind_a_link(published, tmp_path):
    shutil.copytree(published / "ave", tmp_path / "elsewhere")
    (tmp_path / "ave/raw").mkdir(parents=True)
    for part in ("Annotations.txt", "trainSet.txt", "valSet.txt", "testSet.txt"):
        (tmp_path / "elsewhere" / part).rename(tmp_path / "ave/raw" / part)
    with pytest.raises(FileNotFoundError, match="ave: no clip of AVE is in .*put their folder into it, or a link"):
        data_sets(f"ave={tmp_path / 'ave'}", tmp_path / "out")
    (tmp_path / "ave/raw/AVE").symlink_to(tmp_path / "elsewhere/AVE")
    (data,) = data_sets(f"ave={tmp_path / 'ave'}", tmp_path / "out")
    assert data.vid_dir == tmp_path / "ave/raw/AVE" and sorted(set(read_annotations(data.annotations_csv)["split"])) == [
        "test",
        "train",
        "val",
    ]


def test_what_is_no_published_set_is_named(published, tmp_path):
    (tmp_path / "empty").mkdir()
    for words, what in [
        (
            f"ave={published / 'llp'}",
            "ave: .*no annotations.csv, and is not as its authors publish it: no Annotations.txt of AVE .*like LLP",
        ),
        (f"mine={tmp_path / 'empty'}", "mine: .*no annotations.csv, .*: no data set that is known"),
        (f"llp={tmp_path / 'nowhere'}", "llp: .*nowhere is not a folder"),
    ]:
        with pytest.raises(FileNotFoundError, match=what):
            data_sets(words, tmp_path / "out")
    with pytest.raises(ValueError, match="several data sets in .*: ave, unav100, ovave, llp; say which one"):
        data_sets(f"mine={published}", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_towers_without_clips_to_fit_on_are_refused_before_any_work(published, tmp_path):
    why = "llp: two towers need a projector.*of these are none.*train split of LLP .* labels and no times.*fit-projector"
    with pytest.raises(ValueError, match=why):
        benchmark("noise", f"llp={published / 'llp'}", tmp_path, audio_encoder="logmel", protocol=QUICK, progress=False)
    assert not list(tmp_path.rglob("*.npz"))
    read = data_sets(f"llp={published / 'llp'}", tmp_path / "read")[0]
    (tmp_path / "mine").mkdir()
    shutil.copy(read.annotations_csv, tmp_path / "mine/annotations.csv")  # whoever's these are: nothing is known of their train clips
    (tmp_path / "mine/AVE").symlink_to(read.vid_dir)
    with pytest.raises(ValueError, match="mine: two towers need .*of these are none in .*; put an annotations.csv that names them into"):
        benchmark("noise", f"mine={tmp_path / 'mine'}", tmp_path, audio_encoder="logmel", protocol=QUICK, progress=False)
    few = "easy: two towers need .* 10 clips of train or more, and of these are 3 in .*; make more of them with `n_train`"
    with pytest.raises(ValueError, match=few):
        benchmark("noise", "synth-easy", tmp_path, audio_encoder="logmel", protocol=QUICK, synth=SynthClips(n_train=3, n_val=1, n_test=1))
    assert not list(tmp_path.rglob("*.npz"))


def test_clips_of_llps_train_split_fit_a_projector_as_the_page_says(published, tmp_path):
    "The lines of the page, run; a miniature has too few clips to fit on, and that is what it is told."
    page = (Path(__file__).parents[1] / "nbs/howto/which_dataset.md").read_text(encoding="utf-8")
    (block,) = [block for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL) if "AVVP_train" in block]
    making, fitting = block.split("avesound fit-projector")
    (tmp_path / "AVVP-ECCV20").symlink_to(published / "llp")
    subprocess.run(["bash", "-ec", making], cwd=tmp_path, check=True)
    assert "--annotations_csv llp_train.csv" in fitting and "--split" not in fitting  # train is what it fits on
    clips = read_clips(tmp_path / "llp_train.csv").of_split("train")
    files = {path.stem for path in (published / "llp").rglob("*.mp4")}
    assert clips and {clip.video_id for clip in clips} <= files


# ---- trap seven


def answers_of(cache: Path, queries: list[Query]) -> np.ndarray:
    "A2V, V2A and the lead of the best V2A place over the second, of the vectors in a cache."
    from avesound.embeddings.cache import EmbeddingCache, PairReader

    found = {}
    reader = PairReader(EmbeddingCache.of(cache), (1.0,))
    for pair, q in zip(reader.read([q.video_id for q in queries]), queries):
        similarity = cosine_similarity(*(segment_vectors(part, q.n_segments) for part in (pair.video, pair.audio[0])))
        a2v, v2a = (place_scores(similarity, q, d) for d in DIRECTIONS)
        found[q.video_id] = a2v.argmax(), v2a.argmax(), np.diff(np.sort(v2a))[-1]
    return np.array([found[q.video_id] for q in queries], dtype=float).T


def write_answers(path: Path, queries: list[Query], a2v: np.ndarray, v2a: np.ndarray) -> Path:
    rows = [f"{q.video_id},{start:g},{d}\n" for d, of in (("a2v", a2v), ("v2a", v2a)) for q, start in zip(queries, of)]
    path.write_text("id,start,direction\n" + "".join(rows))
    return path


@pytest.fixture(scope="module")
def smooth_noise() -> list[tuple[list[Query], np.ndarray]]:
    "Forty times events at AVE's places, and what noise whose windows overlap answers: A2V, V2A, the lead of V2A's best place."
    kernel = np.exp(-0.5 * np.subtract.outer(np.arange(10), np.arange(10)) ** 2)
    tries = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        lengths = rng.integers(1, 9, 141)
        starts = [int(rng.choice([0, 10 - n, rng.integers(0, 11 - n)], p=[0.35, 0.4, 0.25])) for n in lengths]
        queries, found = [Query(f"clip{k}", s, int(n), 10) for k, (s, n) in enumerate(zip(starts, lengths))], []
        for q in queries:
            seen, heard = (kernel @ rng.normal(size=(10, 32)) for _ in DIRECTIONS)
            a2v, v2a = (place_scores(cosine_similarity(seen, heard), q, d) for d in DIRECTIONS)
            found.append((a2v.argmax(), v2a.argmax(), np.diff(np.sort(v2a))[-1]))
        tries.append((queries, np.array(found, dtype=float).T))
    return tries


def test_the_fallback_gains_on_noise_and_the_audit_names_it(smooth_noise, tmp_path):
    "An unsure V2A answer (half of them) is replaced by that of A2V."
    gains, p_honest, p_copied = [], [], []
    for queries, (a2v, v2a, lead) in smooth_noise:
        truth, fallback = np.array([q.start for q in queries]), np.where(lead < np.median(lead), a2v, v2a)
        gains.append((fallback == truth).mean() - (v2a == truth).mean())
        p_honest.append(copied_answers(queries, a2v, v2a).p)
        p_copied.append(copied_answers(queries, a2v, fallback).p)
    assert np.mean(gains) > 4 * np.std(gains) / len(gains) ** 0.5 and np.mean(gains) > 0.01
    assert np.mean(np.array(p_honest) < 0.05) <= 0.1 and min(p_honest) > 1e-3
    assert max(p_copied) < 1e-3
    queries, (a2v, v2a, lead) = smooth_noise[0]
    for answers, traps in ((v2a, []), (np.where(lead < np.median(lead), a2v, v2a), ["copied"])):
        path = write_answers(tmp_path / "answers.csv", queries, a2v, answers)
        found = audit_crossmodal(read_predictions(path), {"events": queries}, chosen_on="val")
        assert found.overall.audit["traps"] == traps
        assert ("TRAP, one direction copied" in str(found)) == bool(traps)


def test_the_noise_encoder_of_the_benchmark_with_the_fallback_is_named_too(measured, tmp_path, capsys):
    folder, _ = measured
    annotations = folder / "clips/medium/annotations.csv"
    clips = choose_clips(annotations, "test").certain + choose_clips(annotations, "val").certain
    queries = queries_of_clips(clips)
    a2v, v2a, lead = answers_of(folder / "noise/sets/medium/cache", queries)
    both = evaluate_crossmodal(queries, folder / "noise/sets/medium/cache")
    assert (both.table["a2v_start"] == a2v).all() and (both.table["v2a_start"] == v2a).all(), "the same answers as its own evaluation"
    assert copied_answers(queries, a2v, v2a).p > 0.01
    write_answers(tmp_path / "copied.csv", queries, a2v, np.where(lead < np.quantile(lead, 0.75), a2v, v2a))
    table = read_annotations(annotations)
    write_annotations(table[table["split"] != "train"], tmp_path / "events.csv")
    words = f"evaluate-crossmodal --predictions_csv {tmp_path / 'copied.csv'} --annotations_csv {tmp_path / 'events.csv'} --chosen_on test"
    assert cli.main(words.split()) == 0
    said = capsys.readouterr().out
    assert "TRAP, one direction copied into the other" in said and "TRAP, chosen on test" in said


def test_an_honest_encoder_is_not_accused(measured):
    "signal knows events, so that both directions often agree; where both err, no more than by habit."
    folder, _ = measured
    annotations = folder / "clips/medium/annotations.csv"
    queries = queries_of_clips(choose_clips(annotations, "test").certain)
    curves = similarity_set(folder / "signal/sets/medium/cache", choose_clips(annotations, "test").certain)
    assert len(curves.video_ids) == 24
    a2v, v2a, _ = answers_of(folder / "signal/sets/medium/cache", queries)
    found = copied_answers(queries, a2v, v2a)
    assert not found.p < 1e-3, found


@given(st.integers(0, 2**32), st.integers(5, 60), st.floats(0, 1))
def test_the_poisson_binomial_tail_is_that_of_scipy(seed, n, share):
    from scipy.stats import binom

    from avesound.evaluation.audit import _upper_tail

    k = int(np.random.default_rng(seed).integers(0, n + 1))
    assert np.isclose(_upper_tail(np.full(n, share), k), binom.sf(k - 1, n, share), atol=1e-9)


def test_the_lists_of_ave_have_their_known_figures():
    from avesound.evaluation.crossmodal import protocol_baselines

    if not (DATA / "ave/Annotations.txt").is_file():
        pytest.skip(f"AVE's annotations are not at hand ({DATA})")
    shares = {
        name: [len(of), *(round(100 * protocol_baselines(of)[m].mean(), 1) for m in ("chance", "always_start", "always_end"))]
        for name, of in known_events(DATA / "ave/Annotations.txt").items()
    }
    assert shares == {"test_order_match.h5": [402, 20.8, 35.3, 46.8], "testSet.txt": [141, 20.1, 36.2, 43.3]}


# ---- the page


def test_the_page_of_results_is_that_of_the_cards():
    done = subprocess.run([sys.executable, "-m", "benchmarks.cards", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_cards_of_the_repository_are_whole():
    cards = {path.stem: read_card(path) for path in sorted((ROOT / "benchmarks/cards").glob("*.json"))}
    assert {"signal", "noise", "untrained"} <= set(cards)
    for name, card in cards.items():
        assert list(card.sets) == ["easy", "medium", "hard", "off-screen", "no-event"], name
        assert all(part.chosen["n_tried"] == 1 and part.clips["n"] == 40 for part in card.sets.values()), name
        assert not re.search(r"/(tmp|home|root|work)/", json.dumps(card.as_json())), "no path of a machine"
    one = {name: {part.clips["sha256"] for part in card.sets.values()} for name, card in cards.items()}
    assert len(set(map(frozenset, one.values()))) == 1, "the same clips"
    gaps = [of.differences["partial"]["dist"].to["uniform"] for of in cards["noise"].sets.values()]
    assert sum(not gap.low <= 0 <= gap.high for gap in gaps) <= 1, "of noise one interval in twenty misses"
    assert abs(np.mean([gap.mean for gap in gaps])) < 0.3


def test_every_encoder_that_waits_for_a_measurement_is_one_that_there_is():
    from avesound.encoders.base import encoder_names

    commands = re.findall(r"--(?:audio_)?encoder (\S+)", (ROOT / "nbs/howto/results.md").read_text(encoding="utf-8"))
    assert commands and set(commands) <= set(encoder_names())
