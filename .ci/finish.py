"""What the site needs once Quarto has made it: no network, a search that finds answers, pages that can be read by key and by ear.
Usage: .ci/finish.py _docs

- `offline`: a copy on a disk is whole (see there).
- Quarto leaves out: a link past the navigation, the text alternatives of captioned images, the ids of headings that come from outputs
  (nbdev's descriptions of names), the roles of the sidebar's arrows.
- Figures take two to three times the room that they need.
- Its search index has a page's code and tests in it and no names. Here an entry is a heading and the prose below it; a public name's is the
  first line of what it does. `nbs/page.html` has the search that reads it, from `search.json` or, on a disk, from `search.js`.
"""

import json
import os
import re
import sys
from pathlib import Path

import offline
from bs4 import BeautifulSoup, Tag
from PIL import Image

DOORS = {"howto": 5, "start": 5, "reference": 4, "tutorials": 2}  # folder: how much its pages are worth in a search
TASKS = {"index.html": 1, "scale.html": 3, "performance.html": 5}  # pages of those doors that lie elsewhere
LONGEST = 3000  # letters of an entry's text: what a reader of results looks at, and small enough to load


def write(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


# ---- read by key and by ear


def accessible(page: BeautifulSoup) -> None:
    "Add to a page what Quarto leaves out."
    if page.body is None or page.find(id="quarto-document-content") is None or page.find(class_="skip-link"):
        return
    link = page.new_tag("a", href="#quarto-document-content", attrs={"class": "skip-link"})
    link.string = "Skip to the text"
    page.body.insert(0, link)
    for heading in page.select("main [data-anchor-id]:not([id])"):
        heading["id"] = heading["data-anchor-id"]
    for image in page.find_all("img", alt=False):
        figure = image.find_parent("figure")
        caption = figure.find("figcaption") if figure else None
        image["alt"] = caption.get_text(" ", strip=True) if caption else ""
    for drawing in page.select('p > img[src$=".svg"]'):
        drawing.parent["class"] = "drawing"
    for head in page.find_all("th"):
        if not head.get_text(strip=True) and not head.find("img"):
            head.name = "td"
    for bar in page.select("nav.navbar"):
        bar["aria-label"] = "site"
    for arrow in page.select("a.sidebar-item-toggle"):
        arrow["role"] = "button"
        title = arrow.find_previous_sibling("a")
        arrow["aria-label"] = f"pages of {title.get_text(' ', strip=True) if title else 'this part'}"


# ---- light pages


def lighter(path: Path) -> None:
    "A figure with 128 colours, more than drawings have; where that takes less room."
    with Image.open(path) as image:
        if image.mode == "P":
            return
        small = image.convert("RGB").quantize(128, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        part = path.with_name(path.name + ".part")
        small.save(part, format="PNG", optimize=True)
    if part.stat().st_size < path.stat().st_size:
        os.replace(part, path)
    else:
        part.unlink()


# ---- search


def words_of(tags: list[Tag]) -> str:
    "What prose, lists, tables and commands say; no code of cells, no printed results."
    text = []
    for tag in tags:
        copy = BeautifulSoup(str(tag), "html.parser")
        for part in copy.select(".cell .sourceCode, .cell-output pre, script, style, details, svg, math, section, .anchorjs-link"):
            part.decompose()
        text.append(copy.get_text(" ", strip=True))
    return " ".join(" ".join(text).split())


def below(heading: Tag) -> list[Tag]:
    "What follows a heading, until the next one of a name or a section."
    following = []
    for tag in heading.find_next_siblings():
        if tag.name in ("h1", "h2", "h3", "section"):
            break
        following.append(tag)
    return following


def entries(href: str, page: BeautifulSoup, crumbs: list[str]) -> list[dict]:
    "What a search finds of a page: itself, its sections, and each public name that it describes."
    main = page.find("main")
    if main is None:
        return []
    title = main.find("h1").get_text(" ", strip=True) if main.find("h1") else href
    description = main.select_one(".description")
    weight = DOORS.get(href.partition("/")[0], TASKS.get(href, 0))

    def entry(anchor: str, section: str, text: str, more: float = 0) -> dict:
        where = f"{href}#{anchor}" if anchor else href
        return {"objectID": where, "href": where, "title": title, "section": section, "text": text[:LONGEST], "crumbs": crumbs,
                "weight": weight + more}  # fmt: skip

    opening = [tag for tag in main.find_all(recursive=False) if tag.name not in ("header", "section", "nav")]
    found = [entry("", "", words_of([*([description] if description else []), *opening]), 0.5)]
    for heading in main.select("h2, h3"):
        anchor = heading.get("id") or (heading.parent.get("id") if heading.parent.name == "section" else None)
        name = heading.get_text(" ", strip=True)
        if not anchor or not name or heading.find_parent("header"):
            continue
        what = below(heading)
        is_name = bool(what) and re.match(rf"(@.*\n)*(async )?(def|class) {re.escape(name)}\b", what[0].get_text().strip())
        if is_name:
            line = next((tag for tag in what if tag.name == "p"), None)
            what = [line] if line else []
        found.append(entry(anchor, name, words_of(what), 1 if is_name else 0))
    return found


def trail(page: BeautifulSoup) -> list[str]:
    "The parts of the sidebar that the page stands in."
    here = page.select_one(".sidebar-item-text.active, .sidebar-link.active")
    parts = []
    for section in here.find_parents("li", class_="sidebar-item-section") if here else []:
        title = section.find(class_="menu-text")
        parts.insert(0, title.get_text(" ", strip=True) if title else "")
    return parts


def finish(site: Path) -> None:
    "Make the pages of `site` accessible and light, and its search index anew."
    found = []
    for path in sorted(site.rglob("*.html")):
        page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        accessible(page)
        write(path, str(page))
        href = path.relative_to(site).as_posix()
        if page.find(id="quarto-document-content") is not None:
            found += entries(href, page, trail(page))
    for path in site.rglob("*.png"):
        lighter(path)
    text = json.dumps(found, ensure_ascii=False)
    write(site / "search.json", text)
    script = text.replace("</", "<\\/")  # no text ends the script
    write(site / "search.js", f"window.searchIndex = {script};\n")


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    status = offline.main(arguments)
    finish(Path(arguments[0]))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
