"""How the documentation shows a public name: its head as written, with the comments on its arguments or fields, then its whole docstring.

nbdev's own way drops the sections of a docstring (Raises above all), the mark of keyword-only arguments, and the comments on a
dataclass's fields.
It also shows the definitions of a cell from the last to the first: `InOrder` puts them as they stand in the module.
settings.ini names `Renderer` and `InOrder`; `make docs` puts this folder on the path.
"""

import ast
import re
from functools import lru_cache
from inspect import cleandoc

from nbdev.config import get_config
from nbdev.doclinks import NbdevLookup
from nbdev.process import Processor
from nbdev.showdoc import BasicMarkdownRenderer

TITLE = re.compile(r"^(\w[\w ]*)\n-{3,}\n", re.MULTILINE)  # of a numpydoc section


@lru_cache(None)
def module(path: str) -> tuple[list[str], ast.Module]:
    source = (get_config().config_path / path).read_text(encoding="utf-8")
    return source.splitlines(), ast.parse(source)


def definition(path: str, name: str) -> tuple[list[str], ast.AST]:
    "The lines of the module at `path`, and there what `name` (`Class` or `Class.method`) defines."
    lines, node = module(path)
    for part in name.split("."):
        (node,) = (child for child in node.body if isinstance(child, (ast.FunctionDef, ast.ClassDef)) and child.name == part)
    return lines, node


def written(lines: list[str], node: ast.AST) -> str:
    "A function's `def`; a class's `class` with its fields and its `__init__`, then its public methods with what each says of itself."

    def head(node) -> list[str]:
        last = max(node.lineno, node.body[0].lineno - 1)
        return [re.sub(r":\s*\.\.\.$", ":", line) for line in lines[node.lineno - 1 : last]]

    shown = [f"@{ast.unparse(mark)}" for mark in node.decorator_list if isinstance(node, ast.ClassDef)] + head(node)
    for part in node.body if isinstance(node, ast.ClassDef) else []:
        if isinstance(part, ast.AnnAssign):
            shown += lines[part.lineno - 1 : part.end_lineno]
        elif isinstance(part, ast.FunctionDef) and (part.name == "__init__" or not part.name.startswith("_")):
            says = (ast.get_docstring(part) or "").partition("\n\n")[0]
            indent = " " * part.col_offset
            shown += ["", *(f"{indent}@{ast.unparse(mark)}" for mark in part.decorator_list), *head(part)]
            shown += [f'{indent}    "{" ".join(says.split())}"'] if says else []
    indent = len(shown[0]) - len(shown[0].lstrip())
    # A backtick within a fence would become a link, shown as the letters of one.
    return "\n".join(line[indent:].rstrip() for line in shown).replace("`", "").strip()


def docstring(text: str) -> str:
    "A numpydoc docstring as Markdown: its first line in italics, then what follows, every section with its title."
    text, *sections = TITLE.split(cleandoc(text))
    summary, _, more = text.partition("\n\n")
    parts = [f"*{summary.strip()}*", more]
    for title, body in zip(sections[::2], sections[1::2]):
        parts.append(f"**{title}**")
        for entry in re.split(r"\n(?=\S)", body.strip()) if re.search(r"^ +\S", body, re.MULTILINE) else [body]:
            name, _, description = entry.partition("\n")
            parts.append(f"- `{name.strip()}`: {cleandoc(description)}" if description.startswith(" ") else entry.strip())
    return "\n\n".join(part.strip() for part in parts if part.strip())


class Renderer(BasicMarkdownRenderer):
    "What `show_doc` shows."

    def _repr_markdown_(self):
        source = re.search(r"/blob/[^/]+/(.+\.py)#", NbdevLookup().code(self.fn) or "")
        if source is None:
            return super()._repr_markdown_()
        lines, node = definition(source[1], self.nm)
        title, _, _ = super()._repr_markdown_().partition("```python\n")  # the link to the source, the heading
        title = re.sub(r"\.py#L\w+", f".py#L{node.lineno}", title)  # nbdev takes the first line that has the name in it
        return f"{title}```python\n{written(lines, node)}\n```\n\n{docstring(ast.get_docstring(node) or '')}"


class InOrder(Processor):
    "Descriptions that follow one another stand in the order of their lines in the module."

    def end(self):
        cells, start = self.nb.cells, 0
        for k, line in enumerate([*map(line_of, cells), None]):
            if line is None:
                cells[start:k] = sorted(cells[start:k], key=line_of)
                start = k + 1


def line_of(cell) -> int | None:
    "Where the name that a cell describes is defined, by the link that the description begins with; None for any other cell."
    if "show_doc(" not in cell.source:
        return None
    match = re.search(
        r"\[source\]\([^)]*\.py#L(\d+)\)", str([output.get("data", {}).get("text/markdown", "") for output in cell.get("outputs", [])])
    )
    return int(match[1]) if match else None
