"""What the documentation does with a notebook on its way to a page, beside how names are described (`api_page.py`).

`Origin`: a tutorial says which notebook it is, with links to view it and to download what the page shows of it. `Pictures`
keep their alternative text. `Wrapped`: printed sentences are broken at a hundred columns, so that none is cut at the edge of a page. The
notebooks are not touched. settings.ini names all of them.

Usage, after Quarto: .ci/pages.py _proc _docs puts the notebooks to download into the site: the cells that a page shows, without outputs.
"""

import json
import re
import sys
import textwrap
from pathlib import Path
from urllib.parse import urljoin

import yaml
from execnb.nbio import mk_cell
from nbdev.config import get_config
from nbdev.process import Processor

COLUMNS = 100
DOWNLOADS = "notebooks"  # a folder beside the pages; under a page's own name, Quarto takes a notebook for the page
TABLE = 132  # the same for a table, which keeps its rows; such lines fit a page, too (nbs/theme.scss)
LAST_CELL = 90  # a cell that begins further to the right, a number say, is not broken


def is_shown(source: str) -> bool:
    return not re.search(r"^#\|\s*(hide|export|exporti|default_exp|echo: false|include: false)\b", source, re.MULTILINE)


def origin(path: str, runs: bool) -> str:
    "What a page says of the notebook at `path` of the repository; `runs`: it shows code."
    config, name = get_config(), Path(path).name
    view = f"This page is the notebook `{path}`: [view it on GitHub]({config.git_url}/blob/{config.branch}/{path})"
    if not runs:
        return f"::: {{.notebook-origin}}\n{view}.\n:::"
    how = "Its code runs in an empty folder, without a network, if it is copied from top to bottom, the folded blocks included."
    download = f'<a href="{DOWNLOADS}/{name}" download>download its code and text</a>'  # Quarto looks for a page behind a Markdown link
    return f"::: {{.notebook-origin}}\n{view} or {download}. {how}\n:::"


class Origin(Processor):
    "A tutorial says which notebook it is, above its first paragraph."

    def end(self):
        path = Path(self.nb.path_).resolve().relative_to(Path(get_config().config_path).resolve())
        if path.parent.name != "tutorials":
            return
        code = [cell for cell in self.nb.cells if cell.cell_type == "code" and cell.get("source")]
        text = origin(path.as_posix(), any(is_shown(cell.source) for cell in code))
        markdown = [k for k, cell in enumerate(self.nb.cells) if cell.cell_type == "markdown" and cell.get("source")]
        first = next(k for k in markdown if not self.nb.cells[k].source.startswith("<!--"))
        self.nb.cells.insert(first, mk_cell(text, "markdown"))


def wrapped(line: str) -> str:
    "A printed line in at most `COLUMNS` columns. Where it is a row of a table, only its last cell is broken, at `TABLE` columns."
    gaps = [gap.end() for gap in re.finditer(r"(?<=\S) {2,}(?=\S)", line)]
    columns = TABLE if gaps and gaps[-1] > 40 else COLUMNS
    if len(line) <= columns or (gaps and gaps[-1] > LAST_CELL) or line.lstrip().startswith("|"):  # a row of Markdown
        return line
    start = line[: gaps[-1]] if gaps else line[: len(line) - len(line.lstrip())]
    indent = len(start) if gaps else len(start) + 4
    how = {"initial_indent": start, "subsequent_indent": " " * indent, "break_long_words": False, "break_on_hyphens": False}
    return textwrap.fill(line[len(start) :], columns, **how)


class Pictures(Processor):
    "A picture that is a paragraph of its own keeps its words as its alternative text; Quarto would make a caption of them, and leave none."

    def cell(self, cell):
        if cell.cell_type == "markdown" and cell.get("source"):
            cell.source = re.sub(r"^(!\[[^\]\n]+\]\([^)\n]+\))$", r"\1<!-- -->", cell.source, flags=re.MULTILINE)


class Wrapped(Processor):
    "Printed lines, and values shown as text, in at most a hundred columns."

    def cell(self, cell):
        for output in cell.get("outputs", []):
            if output.get("name") == "stdout":
                output["text"] = self.lines(output["text"])
            elif output.get("data", {}).keys() == {"text/plain"}:
                output["data"]["text/plain"] = self.lines(output["data"]["text/plain"])

    def lines(self, text) -> list[str]:
        return "\n".join(map(wrapped, "".join(text).split("\n"))).splitlines(keepends=True)


def to_download(nb: dict, address: str) -> dict:
    "The notebook of a processed page: title, text and the code that is shown. `address`: of the page, which relative links start from."
    front = yaml.safe_load("".join(nb["cells"][0]["source"]).strip().strip("-"))
    title = f"# {front['title']}\n\n> {front['description']}\n\nThe page with its results: <{address}>"
    cells = [{"cell_type": "markdown", "id": "title", "metadata": {}, "source": title}]
    for cell in nb["cells"][1:]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown" and not source.startswith(("<!--", "::: {.notebook-origin}")):
            absolute = re.sub(r"\]\((?![a-z]+:|#)([^)\s]+)\)", lambda link: f"]({joined(address, link[1])})", source)
            cells.append({**cell, "source": absolute})
        elif cell["cell_type"] == "code" and is_shown(source):
            cells.append({**cell, "source": re.sub(r"^(#\|.*\n)+", "", source), "outputs": [], "execution_count": None})
    return {**nb, "cells": cells}


def joined(address: str, link: str) -> str:
    "A link of a page as an address: of the page that a notebook becomes."
    return urljoin(address, re.sub(r"\.(ipynb|md)(?=#|$)", ".html", link))


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print(__doc__.strip().splitlines()[-1], file=sys.stderr)
        return 2
    pages, site = map(Path, arguments)
    config = get_config()
    folder = site / "tutorials" / DOWNLOADS
    folder.mkdir(parents=True, exist_ok=True)
    for page in sorted((pages / "tutorials").glob("*.ipynb")):
        address = f"{config.doc_host}{config.doc_baseurl}/tutorials/{page.stem}.html"
        nb = to_download(json.loads(page.read_text(encoding="utf-8")), address)
        (folder / page.name).write_text(json.dumps(nb, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
