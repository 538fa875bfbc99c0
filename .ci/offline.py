"""Pages that need no network: a copy of the site on a disk is whole. Usage: .ci/offline.py _docs

For every notebook with a table Quarto loads RequireJS and jQuery, in case a JavaScript widget stands in the output. There is none
here: they are taken out. nbdev links names to the published site: they lead to the page beside. What still loads from another host is
named, and fails.
"""

import os
import re
import sys
from configparser import ConfigParser
from html.parser import HTMLParser
from pathlib import Path

ADDED = re.compile(
    r"""<script\b[^>]*\bsrc=["']https?://[^"']*/(?:require|jquery)(?:\.min)?\.js["'][^>]*>\s*</script>\s*"""
    r"""|<script\b[^>]*>\s*define\(['"]jquery['"][^<]*</script>\s*""",
    re.IGNORECASE,
)
ELSEWHERE = re.compile(r"\s*(https?:)?//", re.IGNORECASE)
IN_STYLE = re.compile(r"""(?:@import\s*["']|url\(\s*["']?)((?:https?:)?//[^"')\s]+)""", re.IGNORECASE)
LOADS = {"script": ["src"], "img": ["src", "srcset"], "iframe": ["src"], "video": ["src", "poster"], "audio": ["src"],
    "source": ["src", "srcset"],
         "track": ["src"], "embed": ["src"], "object": ["data"], "input": ["src"], "use": ["href"], "image": ["href"]}  # fmt: skip
LINKS = {"stylesheet", "preload", "modulepreload", "prefetch", "preconnect", "dns-prefetch", "icon", "manifest"}


class Page(HTMLParser):
    "What a page loads from other hosts by itself, before anybody follows a link."

    def __init__(self, html: str):
        super().__init__()
        self.found, self.in_style = [], False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = {name: value or "" for name, value in attrs}
        names = ["href"] if tag == "link" and LINKS & set(attrs.get("rel", "").lower().split()) else LOADS.get(tag, [])
        self.found += [attrs[name] for name in names if ELSEWHERE.match(attrs.get(name, ""))]
        self.found += IN_STYLE.findall(attrs.get("style", ""))
        self.in_style = tag == "style"

    def handle_endtag(self, tag):
        self.in_style = False

    def handle_data(self, data):
        if self.in_style:
            self.found += IN_STYLE.findall(data)


def address() -> str:
    "Of the published site, as settings.ini has it."
    settings = ConfigParser(delimiters=["="])
    settings.read(Path(__file__).resolve().parent.parent / "settings.ini", encoding="utf-8")
    return settings["DEFAULT"]["doc_host"] + settings["DEFAULT"]["doc_baseurl"] + "/"


def freed(html: str, to_top: str, site_address: str) -> str:
    'The page without what Quarto added; links to `site_address` become relative (`to_top`: "", or "../"), a method leads to its class.'

    def beside(match: re.Match) -> str:
        page, mark, name = match[2].partition("#")
        return f"{match[1]}{to_top}{page}{mark}{name.partition('.')[0]}"

    return re.sub(rf"""(<a\b[^>]*\bhref=["']){re.escape(site_address)}([^"']*)""", beside, ADDED.sub("", html), flags=re.IGNORECASE)


def offline(site: Path, site_address: str) -> list[str]:
    "Frees the pages of `site`; returns what they and the style sheets still load from other hosts, as `page: address`."
    left = []
    for page in sorted(site.rglob("*.html")):
        html = page.read_text(encoding="utf-8")
        to_top = "../" * (len(page.relative_to(site).parts) - 1)
        new = freed(html, to_top, site_address)
        if new != html:
            part = page.with_name(page.name + ".part")
            part.write_text(new, encoding="utf-8")
            os.replace(part, page)
        left += [f"{page.relative_to(site)}: {source}" for source in Page(new).found]
    for sheet in sorted(site.rglob("*.css")):
        left += [f"{sheet.relative_to(site)}: {source}" for source in IN_STYLE.findall(sheet.read_text(encoding="utf-8"))]
    return left


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    left = offline(Path(arguments[0]), address())
    print("\n".join(left) or "Every page works offline.", file=sys.stderr if left else sys.stdout)
    return bool(left)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
