"What goes into a paper: LaTeX that compiles and fits, figures of the right size with their fonts, and what to cite."

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from avesound import cli
from avesound.drawing import COLUMN_INCHES, PAGE_INCHES, SMALLEST_PT, figure_bytes, figures_as, save_figure, sized_for_print
from avesound.evaluation.card import plot_card, read_card
from avesound.evaluation.compare import Comparison, plot_forest
from avesound.latex import LatexPart, best_cells, latex_cell, latex_table
from avesound.report.citations import PAPERS, SOFTWARE
from avesound.report.leaderboard import leaderboard, plot_leaderboard
from avesound.tuning.grid import Grid, grid_table, plot_heat, plot_marginals
from conftest import ROOT

CARDS = [read_card(path) for path in sorted((ROOT / "benchmarks" / "cards").glob("*.json"))]


def comparison(n_methods: int = 3, metrics=("dist", "inside", "mass_inside", "crps", "auroc"), names=None) -> Comparison:
    "One that was never run, with intervals of every sign."
    rng = np.random.default_rng(n_methods)
    names = list(names or ["signal", "a second encoder & its 100 % #1 name", "centre", "train_prior", "class_prior"])[:n_methods]
    rows = []
    for stratum, n in [("all", 402), ("partial", 141)]:
        for k, name in enumerate(names):
            for metric in metrics:
                mean, gain = rng.uniform(0, 2), rng.uniform(-1, 1)
                row = {"stratum": stratum, "method": name, "metric": metric, "mean": mean, "low": mean - 0.1, "high": mean + 0.1, "n": n}
                further = {"difference": gain, "difference_low": gain - 0.2, "difference_high": gain + 0.2, "p": 6e-5, "p_holm": 6.1e-05}
                rows.append(row | (further if k == 1 else dict.fromkeys(further, np.nan)))
    return Comparison(pd.DataFrame(rows), names[0], tuple(names), 402, (), tuple(metrics))


# ---- LaTeX


def check_latex(text: str) -> None:
    "What a compiler would complain of: braces and environments that are not closed, cells too few or too many, text that is markup."
    for floating in re.findall(r"\\begin\{(table\*?)\}(.*?)\\end\{\1\}", text, re.DOTALL):
        body = floating[1]
        assert body.count(r"\caption{") == body.count(r"\label{") == 1 and body.index(r"\caption") < body.index(r"\label")
        ((columns, inner),) = re.findall(r"\\begin\{tabular\}\{@\{\}(\w+)@\{\}\}(.*?)\\end\{tabular\}", body, re.DOTALL)
        assert re.fullmatch("lr+", columns)
        assert re.findall(r"\\(\w+rule)", inner)[0] == "toprule" and re.findall(r"\\(\w+rule)", inner)[-1] == "bottomrule"
        assert not re.search(r"\\hline|\\cline", inner)
        for line in [line for line in inner.splitlines() if line.endswith(r" \\")]:
            assert len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1, line
    assert len(re.findall(r"\\begin\{table", text)) == len(re.findall(r"\\end\{table", text)) > 0
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text.replace(r"\\", "")):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    plain = re.sub(r"\$[^$]*\$|^%.*$|\\(?:label|begin|end)\{[^}]*\}", "", text, flags=re.MULTILINE)
    assert not re.search(r"(?<!\\)[_#%^]|[↓↑†−–]", plain), "text that is markup"


def compiled(text: str, folder: Path) -> str:
    "The log of a page of two columns; a line that is too wide is in it."
    page = rf"\documentclass[twocolumn]{{article}}\usepackage{{booktabs}}\begin{{document}}{text}\end{{document}}"
    (folder / "page.tex").write_text(page, encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "page.tex"] if shutil.which("pdflatex") else ["tectonic", "--keep-logs", "page.tex"]
    if not shutil.which(command[0]):
        pytest.skip("there is no pdflatex and no tectonic here; the small parser has looked")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    return (folder / "page.log").read_text(errors="replace")


TEXTS = {
    "comparison": lambda: comparison().as_latex(),
    "two metrics": lambda: comparison(2, ("dist", "auroc")).as_latex(),
    "many methods": lambda: comparison(5).as_latex(),
    "one table": lambda: comparison(2, ("average_precision",)).as_latex(("partial",)),
    "leaderboard": lambda: leaderboard(CARDS).as_latex(),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_a_table_is_whole(kind):
    check_latex(TEXTS[kind]())


@pytest.mark.parametrize("kind", TEXTS)
def test_a_table_compiles_and_fits_its_columns(kind, tmp_path):
    log = compiled(TEXTS[kind](), tmp_path)
    assert "Overfull" not in log, re.findall(r"Overfull.*", log)


def test_the_small_parser_sees_what_is_wrong():
    text = comparison().as_latex()
    for wrong in (text.replace(" & ", " ", 1), text.replace(r"\end{table*}", ""), text + "}", text.replace(r"\%", "%"), text + "↓"):
        with pytest.raises(AssertionError):
            check_latex(wrong)


def test_numbers_signs_and_what_is_best():
    text = comparison(2, ("dist", "auroc"), ["signal", "loud-and-moving"]).as_latex()
    assert r"\begin{table}[t]" in text and r"\begin{table*}[t]" in comparison(3).as_latex(), "one column where it fits, else both"
    assert re.search(r"\\quad p \(Holm\) & \$6\.1 \\times 10\^\{-5\}\$ & \$6\.1", text), "p-values have a row of their own"
    assert "$-0." in text and not re.search(r"(?<![\d$-])-\d", re.sub(r"10\^\{-5\}", "", text.replace("$-", "$m"))), (
        "a minus is none of text"
    )
    assert r"distance (s) $\downarrow$" in text and r"\dist" not in text
    for part, of in comparison(2, ("dist", "auroc"), ["signal", "loud-and-moving"]).table.groupby("stratum", sort=False):
        means = of[of["metric"] == "dist"].set_index("method")["mean"]
        assert rf"\textbf{{{means.min():.2f}}}" in text and rf"\textbf{{{means.max():.2f}}}" not in text, part


def test_oracles_and_controls_are_never_the_best():
    found = comparison(5, ("dist",))
    found.table.loc[found.table["method"] == "class_prior", "mean"] = -9.0
    assert r"\textbf{class" not in found.as_latex() and r"\textbf{" in found.as_latex()
    text = leaderboard(CARDS).as_latex()
    assert r"\textbf{class" not in text and "(control)}" not in text


def test_equal_ones_are_all_the_best():
    assert best_cells({0: (1.0,), 1: (0.996,), 2: (0.98,)}, [False]) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    table = latex_table([LatexPart(["", "a"], [["x_1", "-1.00 [-2.00, -0.50]†"]])], "50 % of $x$", "tab:x", "† few")
    check_latex(table)
    assert latex_cell("-1.00 [-2.00, -0.50]†").endswith(r"\rlap{$^\dagger$}") and r"50 \% of \$x\$" in table


# ---- figures


def heat_table() -> pd.DataFrame:
    rows = Grid(taus=(0.05, 0.1, 0.2, 0.5, 1.0), smooth_sigmas=(0.0, 0.25, 0.5, 1.0), lengths=((0.5,), (1.0,), (0.5, 1.0))).settings()
    values = {name: np.random.default_rng(0).uniform(0, 1, (len(rows), 12)) for name in ("dist", "log_score")}
    return grid_table(rows, values, np.arange(12) < 8)


FIGURES = {
    "forest of a comparison": lambda: plot_forest(comparison()),
    "card": lambda: plot_card(CARDS[0]),
    "leaderboard": lambda: plot_leaderboard(leaderboard(CARDS).boards),
    "marginals": lambda: plot_marginals(heat_table(), "log_score"),
    "heat map": lambda: plot_heat(heat_table(), "tau", "score_smooth_sigma", "log_score"),
}


@pytest.mark.parametrize("kind", FIGURES)
def test_a_figure_is_as_wide_as_a_column_and_readable(kind):
    figure = FIGURES[kind]()
    canvas = FigureCanvasAgg(figure)
    with sized_for_print(figure):
        canvas.draw()
        width = figure.get_size_inches()[0]
        assert min(abs(width - COLUMN_INCHES), abs(width - PAGE_INCHES)) < 0.01 or width < PAGE_INCHES
        renderer = canvas.get_renderer()
        page = figure.bbox
        for ax in figure.axes:
            for text in (ax.title, ax.xaxis.label, ax.yaxis.label):
                if text.get_text():
                    box = text.get_window_extent(renderer)
                    assert box.x0 >= -2 and box.x1 <= page.x1 + 2 and box.y0 >= -2 and box.y1 <= page.y1 + 2, text.get_text()
        titles = sorted((ax.title.get_window_extent(renderer) for ax in figure.axes if ax.get_title()), key=lambda box: box.x0)
        assert all(a.x1 <= b.x0 + 1 or a.y0 >= b.y1 or b.y0 >= a.y1 for a, b in zip(titles, titles[1:])), "titles over each other"
        shown = [text for text in figure.findobj(lambda artist: hasattr(artist, "get_fontsize")) if text.get_text() and text.get_visible()]
        assert min(text.get_fontsize() for text in shown) >= SMALLEST_PT


def test_files_of_a_figure(tmp_path):
    figure = plot_card(CARDS[0])
    with figures_as("pdf", "svg"):
        png, pdf, svg = save_figure(figure, tmp_path / "card.png")
    with Image.open(png) as image:
        assert round(float(image.info["dpi"][0])) == 300 and abs(image.width - 300 * PAGE_INCHES) < 2
    assert b"/FontFile2" in pdf.read_bytes() and b"/Type3" not in pdf.read_bytes()
    assert "<text" not in svg.read_text(), "letters are outlines: no font is needed"
    assert figure_bytes(figure, "pdf") == pdf.read_bytes() and figure_bytes(figure, "svg") == svg.read_bytes()


def test_a_command_writes_the_formats_that_are_asked_for(tmp_path, capsys):
    cards = [str(path) for path in sorted((ROOT / "benchmarks" / "cards").glob("*.json"))]
    assert cli.main(["leaderboard", *cards, "--out_dir", str(tmp_path / "a"), "--format", "pdf,svg"]) == 0
    assert {path.name for path in (tmp_path / "a").glob("forest.*")} == {"forest.png", "forest.pdf", "forest.svg"}
    assert cli.main(["leaderboard", *cards, "--out_dir", str(tmp_path / "b")]) == 0
    assert {path.name for path in (tmp_path / "b").glob("forest.*")} == {"forest.png"}
    capsys.readouterr()
    assert cli.main(["leaderboard", *cards, "--out_dir", str(tmp_path / "c"), "--format", "gif"]) == 1
    assert "png, pdf, svg, got gif" in capsys.readouterr().err and not (tmp_path / "c").exists()


def test_every_command_that_draws_takes_the_format():
    drawing = {"evaluate", "compare", "sweep", "ablate", "benchmark", "leaderboard", "analyze", "locate", "demo"}
    assert {name for name in cli.COMMANDS if any(option.name == "format" for option in cli.COMMANDS[name].options())} == drawing
    sources = [
        path for path in (ROOT / "avesound").rglob("*.py") if re.search(r"(?<!super\(\))\.savefig\(", path.read_text(encoding="utf-8"))
    ]
    left = {path.relative_to(ROOT / "avesound").as_posix() for path in sources}
    assert left <= {"drawing.py", "report/figures.py", "report/leaderboard.py"}, (
        "figures go into files by `save_figure`; those two are inside pages"
    )


# ---- citing


def test_the_page_on_citing_has_the_entries_that_the_command_prints():
    page = (ROOT / "nbs/start/cite.md").read_text(encoding="utf-8")
    squeezed = " ".join(page.split())
    for entry in (SOFTWARE, *PAPERS.values()):
        assert " ".join(entry.split()) in squeezed, entry.splitlines()[0]
        assert re.match(r"@(inproceedings|article|misc)\{", entry), "plain BibTeX knows these"
        assert re.search(r"^  year +=", entry, re.MULTILINE)


def test_every_encoder_has_its_words_on_citing():
    from avesound.encoders import base
    from avesound.report import citations

    assert set(citations._ENCODERS) == set(base._OWN)


def test_the_command_cites_what_a_run_was_made_with(tmp_path, capsys):
    (tmp_path / "card.json").write_text((ROOT / "benchmarks/cards/efficientnet_lite0+aisfx.json").read_text())
    assert cli.main(["cite", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    keys = re.findall(r"^@\w+\{(\w+),", text, re.MULTILINE)
    assert keys == ["avesound", "tan2019efficientnet", "ma2022representation"] and "synthetic clips" in text and "sha256:" in text
    assert cli.main(["cite", "mc3", "--data", "ave"]) == 0
    assert re.findall(r"^@\w+\{(\w+),", capsys.readouterr().out, re.MULTILINE) == ["avesound", "tian2018audio", "chen2024soundingactions"]
    assert cli.main(["cite", "mc33"]) == 1 and "did you mean mc3" in capsys.readouterr().err
