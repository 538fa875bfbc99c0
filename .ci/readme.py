"README.md from nbs/index.ipynb, without Quarto. Usage: .ci/readme.py [--check] [--notebook nbs/index.ipynb] README.md"

import argparse
import difflib
import os
import posixpath
import re
import sys
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parent.parent
DIRECTIVE = re.compile(r"^\s*#\s*\|\s*(?P<name>[\w-]+)(:\s*(?P<value>\S+))?.*\n?", re.MULTILINE)
CODE = re.compile(r"(^```.*?^```|^~~~.*?^~~~|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"""(\]\(\s*<?|\b(?:src|href|poster)=["']|^\[[^\]]+\]:\s*)([^\s"'<>)]+)""", re.MULTILINE)


def from_top_level(markdown: str, folder: str) -> str:
    "`markdown` with the relative links of a page in `folder` changed to those of a page at the top level; code is left alone."

    def moved(match: re.Match) -> str:
        target = match[2]
        if re.match(r"[a-z][a-z0-9+.-]*:|#|/", target, re.IGNORECASE):
            return match[0]
        path, mark, anchor = target.partition("#")
        return match[1] + posixpath.normpath(posixpath.join(folder, path)) + mark + anchor

    parts = CODE.split(markdown)
    return "".join(part if i % 2 else LINK.sub(moved, part) for i, part in enumerate(parts))


def readme(notebook: Path) -> str:
    """The Markdown of `notebook`: `#| hide` cells left out, directives obeyed and dropped, links made to work from the top level.

    Raises
    ------
    ValueError
        If a cell failed, or holds an image in its output: a README has no place for it.
    """
    nb = nbformat.read(notebook, as_version=4)
    folder = notebook.resolve().parent.relative_to(ROOT).as_posix() if notebook.resolve().is_relative_to(ROOT) else notebook.parent.name
    cells = []
    for number, cell in enumerate(nb.cells, 1):
        if cell.cell_type == "markdown":
            cell.source = from_top_level(re.sub(r"<iframe\b.*?</iframe>\s*", "", cell.source, flags=re.DOTALL), folder)  # the site's alone
        elif cell.cell_type == "code":
            directives = {match["name"]: match["value"] for match in DIRECTIVE.finditer(cell.source)}
            if directives.keys() & {"hide", "default_exp"} or directives.get("include") == "false":
                continue
            cell.source = DIRECTIVE.sub("", cell.source).strip()
            cell.metadata["transient"] = {"remove_source": directives.get("echo") == "false"}
            cell.outputs = [] if directives.get("output") == "false" else cell.outputs
            for output in cell.outputs:
                if output.output_type == "error":
                    raise ValueError(f"{notebook.name}, cell {number}, failed with {output.ename}: run it anew")
                data = output.get("data", {})
                if "text/html" in data:  # GitHub shows the text of a style element
                    data["text/html"] = re.sub(r"<style.*?</style>\s*", "", data["text/html"], flags=re.DOTALL)
                elif any(kind.startswith("image/") for kind in data):
                    raise ValueError(
                        f"{notebook.name}, cell {number}, has an image in its output: "
                        f"save it under {folder}/images and show it from a Markdown cell"
                    )
        cells.append(cell)
    nb.cells = cells
    nb.metadata.language_info = {"name": "python"}
    body, _ = MarkdownExporter().from_notebook_node(nb)
    body = "\n".join(line.rstrip() for line in body.splitlines()).strip()
    body = "".join(part if i % 2 else re.sub(r"\n{3,}", "\n\n", part) for i, part in enumerate(CODE.split(body)))
    return f"<!-- Made from {folder}/{notebook.name} by `make readme`: edit there. -->\n\n{body}\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readme", type=Path, help="the file to write, or with --check to compare")
    parser.add_argument("--notebook", type=Path, default=ROOT / "nbs/index.ipynb")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 and show the difference where the file is not what the notebook makes"
    )
    args = parser.parse_args(arguments)
    if not args.notebook.exists():
        print(f"readme: {args.notebook} is not there", file=sys.stderr)
        return 1
    text = readme(args.notebook)
    if args.check:
        before = args.readme.read_text(encoding="utf-8") if args.readme.exists() else ""
        sys.stdout.writelines(
            difflib.unified_diff(before.splitlines(True), text.splitlines(True), str(args.readme), f"from {args.notebook.name}")
        )
        if before != text:
            print(f"readme: {args.readme} is not what {args.notebook.name} makes: make readme", file=sys.stderr)
        return int(before != text)
    part = args.readme.with_name(args.readme.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, args.readme)
    return 0


if __name__ == "__main__":
    sys.exit(main())
