"Labels are somebody else's words: literal in every figure and table, and legible and quick where they are long or many."

import json
import re
import shutil
import time
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avesound.embeddings.store import audio_file, video_file, write_embeddings
from avesound.evaluation.compare import compare, plot_forest
from avesound.evaluation.evaluate import evaluate
from avesound.evaluation.figures import plot_clip, plot_overall
from avesound.evaluation.plan import Scoring
from avesound.files import read_table
from avesound.lettering import latex_text, markdown_text
from avesound.report.analyze import analyze
from avesound.timeline import sliding_windows
from avesound.tuning.ablate import ablate
from avesound.tuning.grid import Grid
from avesound.tuning.sweep import GridScoring, sweep
from avesound.viewer.inspector import Inspector
from avesound.viewer.lab import viewer_notebook
from avesound.viewer.run import Run, open_run
from avesound.viewer.still import still

ROOT = Path(__file__).resolve().parent.parent
LABELS = [
    "Bark $$",
    "$x$",
    r"$\frac{a}{b",
    "a_b^c {d}",
    r"C:\new\dogs",
    "rock | metal",
    "<b>bold</b> & co",
    "50 % #1 ~",
    "狗が吠える",
    "собака",
    "“quoted”, 'so'",
    '"',
    "[1] *x*",
    "`code`",
    "---",
]


def make(folder, labels, n_windows=40):
    "Caches of a clip for each label, and their annotations; for speed one file serves all pictures."
    rng, windows, rows = np.random.default_rng(0), sliding_windows(n_windows / 4, 1.0, 0.25), ["video_id,event_label,start_s,end_s,split"]
    for k, label in enumerate(labels):
        write_embeddings(video_file(folder / "cache/vid_emb", f"c{k}"), rng.normal(size=(n_windows, 4)), windows, {})
        write_embeddings(
            audio_file(folder / "cache/aud_emb", f"c{k}", 1.0),
            rng.normal(size=(n_windows, 4)),
            windows,
            {},
            loudness_db=rng.normal(size=n_windows),
        )
        quoted = label.replace('"', '""')
        rows.append(f'c{k},"{quoted}",{k % 6},{k % 6 + 2},{("test", "val")[k % 2]}')
    (folder / "a.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder / "cache", folder / "a.csv"


def words_of(figure) -> set[str]:
    "The texts of a figure as it is drawn."
    import io

    import matplotlib

    out = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(out, format="svg")
    return {unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", out.getvalue().decode())}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("$a$_^{labels")
    common = make(folder, LABELS)
    for name in ("one", "two"):
        found = evaluate(*common, scoring=Scoring(n_boot=50, n_shuffles=5)).save(folder / f"{name}.csv", folder / f"{name} curves")
        found.plot_clips(folder / f"{name} curves", len(LABELS) * (name == "one"))
    return folder, common


@pytest.mark.filterwarnings("error")
def test_labels_are_literal_in_every_figure(run):
    folder, common = run
    assert len(list((folder / "one curves").glob("*.png"))) == len(LABELS)
    found = evaluate(*common, scoring=Scoring(n_boot=50, n_shuffles=0))
    for k, label in enumerate(LABELS):
        row = found.summary.set_index("video_id", drop=False).loc[f"c{k}"].to_dict()
        shown = " ".join(words_of(plot_clip(found.curves[found.curves["video_id"] == f"c{k}"], row, ())))
        assert f"c{k}: {label}, no event" in shown, shown
    named = compare(
        [folder / "one.csv", folder / "two.csv"],
        names=["$m$", "a|b_c^{"],
        metrics=("dist",),
        min_clips=1,
        n_boot=50,
        n_perm=9,
    ).save(folder / "side")
    shown = words_of(plot_forest(named))
    assert {f"{label} (1)" for label in LABELS} | {"$m$", "a|b_c^{"} <= shown, shown
    assert "$e_1$" in words_of(plot_overall(replace(found.overall, encoder="$e_1$")))
    report = analyze(folder / "one.csv", folder / "reports", "one", n_boot=50, n_examples=2)
    assert (report.folder / "per_class.png").stat().st_size > 10_000
    (folder / "caches").mkdir(exist_ok=True)
    for name in ("$1$", "b_{"):
        shutil.copytree(folder / "cache", folder / "caches" / name, dirs_exist_ok=True)
    swept = sweep(
        [folder / "caches"],
        common[1],
        out_dir=folder / "grid",
        grid=Grid(taus=(0.3, 0.5), smooth_sigmas=(0.0,), zscores=(True,)),
        test_split=None,
        scoring=GridScoring(n_boot=50),
        progress=False,
    )
    assert set(swept.table["cache"]) == {"$1$", "b_{"}
    ablate([folder / "caches/$1$", folder / "caches/b_{"], common[1], out_dir=folder / "ablation", n_boot=50, progress=False)


def test_labels_are_literal_in_every_table(run):
    folder, _ = run
    names = ["$m$", "a|b_c^{"]
    found = compare(
        [folder / "one.csv", folder / "two.csv"], names=names, metrics=("dist", "inside"), min_clips=1, n_boot=50, n_perm=9
    ).save(folder / "side")
    strata = ["all", "partial", *LABELS]
    lines = [line for line in found.as_markdown(strata).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {4}  # bars that end a cell
    assert {re.split(r"(?<!\\)\|", line)[1].strip() for line in lines} >= {markdown_text(f"{label} (1)") for label in LABELS} | {
        markdown_text(name) for name in names
    }
    tex = found.as_latex(strata)
    for line in [line for line in tex.splitlines() if not line.startswith("% ")]:
        assert len(re.findall(r"(?<!\\)&", line)) == (2 if line.endswith(r"\\") and not line.startswith(r"\midrule") else 0), line
        plain = re.sub(r"(?<!\\)\$.*?(?<!\\)\$|\\textascii\w+\{\}|\\label\{[^}]*\}", "", line)
        assert not re.search(r"(?<!\\)[%#_~^]", plain), line  # comments, parameters, subscripts
        assert len(re.findall(r"(?<!\\)\$", line)) % 2 == 0, line
    assert latex_text(r"C:\new\dogs") in tex and latex_text("[1] *x*") in tex
    table = read_table(folder / "side/comparison.csv")
    assert set(LABELS) <= set(table["stratum"]) and set(names) <= set(table["method"])
    report = analyze(folder / "one.csv", folder / "reports", "html", n_boot=50, n_examples=1, overwrite=True)
    page = report.html.read_text(encoding="utf-8")
    assert "<b>bold</b>" not in page and all(label in unescape(page) for label in LABELS)
    assert read_table(report.folder / "summary_canonical.csv")["event_label"].tolist() == LABELS
    assert set(json.loads((report.folder / "metrics_overall.json").read_text(encoding="utf-8"))["counts"]["status"]) == {"ok"}


def test_labels_are_literal_in_the_viewer(run):
    folder, common = run
    opened = open_run(
        Run(
            name="*a* <b> [c](d)",
            vid_emb_dir=common[0] / "vid_emb",
            aud_emb_dir=common[0] / "aud_emb",
            annotations_csv=common[1],
            summary_csv=folder / "one.csv",
        )
    )
    inspector = Inspector(run=opened.run)
    assert set(inspector.choices["labels"]) == set(LABELS)
    for k, label in enumerate(LABELS):
        inspector.video_id = f"c{k}"
        page = still(opened, f"c{k}")
        assert (
            inspector.clip["label"] == label
            and "<b>bold" not in page + inspector.curves
            and label in unescape(page)
            and inspector.reading["sentence"].startswith(f"{label} (annotated): ")
        )
    notebook = viewer_notebook(opened.run, folder / "view.ipynb").read_text(encoding="utf-8")
    assert r"**\\*a\\* \\<b\\> \\[c\\](d)**" in notebook


CAPTION = (
    "a person number {k} walks over gravel while a dog that is {k} years old barks twice in the distance "
    "and then a car passes slowly on the wet road"
)


def test_a_thousand_captions_leave_figures_legible_and_analyze_quick(tmp_path):
    labels = [CAPTION.format(k=k) for k in range(1200)]
    common = make(tmp_path, labels, n_windows=12)
    found = evaluate(*common, scoring=Scoring(n_boot=100, n_shuffles=5)).save(tmp_path / "s.csv", tmp_path / "curves")
    found.plot_clips(tmp_path / "curves", 2)
    begun = time.process_time()
    report = analyze(tmp_path / "s.csv", tmp_path / "reports", "many")
    assert time.process_time() - begun < 45, "more than a quarter of a minute for each of three parts"
    side = compare(
        [tmp_path / "s.csv", tmp_path / "s.csv"],
        names=[CAPTION, CAPTION[::-1]],
        metrics=("dist",),
        min_clips=1,
        n_boot=20,
        n_perm=9,
    ).save(tmp_path / "side")
    for path in [*report.folder.glob("*.png"), *(tmp_path / "curves").glob("*.png"), tmp_path / "side/forest.png"]:
        width, height = Image.open(path).size
        assert 0.1 < height / width < 4 and height / 300 < 22 and np.asarray(Image.open(path).convert("L")).std() > 5, (
            path.name,
            width,
            height,
        )
    page = report.html.read_text(encoding="utf-8")
    assert (
        len(page) < 5e6
        and "Of 1,200 classes the 100 with most clips are in this table" in page
        and "Of 1,200 classes the 40 with most clips are drawn" in page
    )
    assert set(read_table(report.folder / "per_class_metrics.csv")["event_label"]) == set(labels), "nothing is lost"
    assert side.n_clips == 1200


def test_every_figure_is_made_where_labels_are_made_literal():
    sources = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "avesound").rglob("*.py")}
    assert [name for name, source in sources.items() if "figsize" in source or "pyplot" in source] == ["lettering.py"]
