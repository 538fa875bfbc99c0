"""What the documentation makes of a notebook: how it shows a public name, what it folds, and which names in backticks are links.

nbdev's own way runs every cell with an export or an import in it to learn what `show_doc` says (minutes), drops the sections of a
docstring (Raises above all), the mark of keyword-only arguments and the comments on a dataclass's fields, shows the definitions of a
cell from the last to the first, and takes every word that is also the name of a function for that function. So here
- `Describe` writes what a page says of a name from the text of the module; nothing is run;
- `Fold` folds the cells that only test;
- `Links` links what is meant to be a name;
- `InOrder` puts descriptions that follow one another in the order of the module.

settings.ini names them (`procs`) and what they replace (`skip_procs`); `make docs` puts this folder on the path.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from inspect import cleandoc
from textwrap import dedent, wrap

from execnb.nbio import mk_cell
from nbdev.config import get_config
from nbdev.doclinks import NbdevLookup
from nbdev.process import Processor

TITLE = re.compile(r"^(\w[\w ]*)\n-{3,}\n", re.MULTILINE)  # of a numpydoc section
WIDTH = 92  # of code, in columns
SCENERY = {"tempfile", "plt", "temporary"}  # folders and figures: an example does without them
PROMISES = '#| code-fold: true\n#| code-summary: "What it promises"\n'


# ---- a module, read and not run


@dataclass(frozen=True)
class Module:
    "The text of a module."

    path: str  # from the top of the project, avesound/timeline.py say
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        "What it says, parsed once for all who read it. Not to be changed."
        return ast.parse(self.source)

    @cached_property
    def definitions(self) -> dict[str, ast.FunctionDef | ast.ClassDef]:
        "Public functions and classes by name."
        return {
            node.name: node
            for node in self.tree.body
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")
        }

    @cached_property
    def names(self) -> frozenset[str]:
        "What is defined, assigned or imported at the top level."
        nodes = self.tree.body
        inner = [part for node in nodes if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) for part in ast.walk(node)]
        defined = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        defined |= {part.asname or part.name for part in inner if isinstance(part, ast.alias)}
        return frozenset(defined | {part.id for part in inner if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)})

    @cached_property
    def comments(self) -> dict[int, str]:
        "By the line that they end."
        tokens = tokenize.generate_tokens(io.StringIO(self.source).readline)
        return {token.start[0]: token.string.lstrip("# ").rstrip() for token in tokens if token.type == tokenize.COMMENT}


@lru_cache(None)
def module(path: str) -> Module:
    return Module(path, (get_config().config_path / path).read_text(encoding="utf-8"))


@lru_cache(None)
def package() -> list[ast.Module]:
    "The modules of the package."
    config = get_config()
    return [module(path.relative_to(config.config_path).as_posix()).tree for path in sorted(config.lib_path.rglob("[!_]*.py"))]


def path_of(nb) -> str | None:
    "Of the module that a notebook exports to; None where it exports nothing."
    name = next((arguments[0] for cell in nb.cells if (arguments := cell.directives_.get("default_exp"))), None)
    config = get_config()
    return name and f"{config.lib_path.relative_to(config.config_path).as_posix()}/{name.replace('.', '/')}.py"


# ---- what is said of a name


@dataclass(frozen=True)
class Entry:
    "A parameter, a field, or what comes out."

    name: str
    kind: str  # its annotation
    default: str
    says: str  # the comment beside it

    @property
    def short(self) -> str:
        "As in a call."
        return f"{self.name}={self.default}" if self.default else self.name


def text(annotation: ast.expr | None) -> str:
    "Without the quotes that it may stand in."
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return annotation.value
    return ast.unparse(annotation) if annotation else ""


def value(default: ast.expr | None) -> str:
    "What `field` makes, as what it makes."
    return re.sub(r"^field\(default_factory=([\w.]+)\)$", r"\1()", ast.unparse(default)) if default else ""


def parameters(module: Module, node: ast.FunctionDef) -> list[Entry]:
    "As written, `*` included; without self."
    given = node.args
    places = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(places) - len(given.defaults)) + given.defaults
    rows = [("", *pair) for pair in zip(places, defaults, strict=True)]
    rows += [("*", given.vararg, None)] if given.vararg else [("*", None, None)] if given.kwonlyargs else []
    rows += [("", *pair) for pair in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    rows += [("**", given.kwarg, None)] if given.kwarg else []
    last_on_line = {max(arg.end_lineno, getattr(default, "end_lineno", 0)): arg for _, arg, default in rows if arg}
    end = node.returns.end_lineno if node.returns else node.body[0].lineno  # what stands there is said of what comes out
    beside = {arg.arg: module.comments.get(line, "") for line, arg in last_on_line.items() if line < end}
    return [
        Entry(star + arg.arg, text(arg.annotation), value(default), beside.get(arg.arg, "")) if arg else Entry(star, "", "", "")
        for star, arg, default in rows
        if arg is None or arg.arg not in ("self", "cls")
    ]


def fields(module: Module, node: ast.ClassDef) -> list[Entry]:
    "Of a dataclass or a named tuple."
    rows = [part for part in node.body if isinstance(part, ast.AnnAssign) and not part.target.id.startswith("_")]
    return [Entry(part.target.id, text(part.annotation), value(part.value), module.comments.get(part.end_lineno, "")) for part in rows]


def outcome(module: Module, node: ast.FunctionDef) -> Entry | None:
    "What a function returns."
    last = max([node.lineno - 1, *(part.end_lineno for part in ast.walk(node.args) if hasattr(part, "end_lineno"))])
    start = min(last + 1, node.returns.end_lineno) if node.returns else last + 1
    says = " ".join(module.comments.get(line, "") for line in range(start, node.body[0].lineno)).strip()
    kind = "" if text(node.returns) == "None" and not says else text(node.returns)
    return Entry("", kind, "", says) if kind or says else None


def signature(name: str, entries: list[Entry], comes_out: Entry | None) -> str:
    "Names and defaults, in as few lines as fit."
    end = f") -> {comes_out.kind}" if comes_out and comes_out.kind else ")"
    line = f"{name}({', '.join(entry.short for entry in entries)}{end}"
    if len(line) <= WIDTH:
        return line
    whole = [entry.short.replace(" ", "\0") for entry in entries]  # a default is not broken
    inner = wrap(", ".join(whole), WIDTH, initial_indent="    ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    return "\n".join([f"{name}(", *(part.replace("\0", " ") for part in inner), end])


def written(module: Module, node: ast.FunctionDef | ast.ClassDef) -> str:
    "The head of a definition as Python."
    if isinstance(node, ast.FunctionDef):
        return signature(f"def {node.name}", parameters(module, node), outcome(module, node))
    marks = [f"@{ast.unparse(mark)}" for mark in node.decorator_list]
    bases = ", ".join(map(ast.unparse, [*node.bases, *(keyword.value for keyword in node.keywords)]))
    start = [signature("    def __init__", parameters(module, init), None).replace("\n", "\n    ")] if (init := init_of(node)) else []
    return "\n".join([*marks, f"class {node.name}({bases})" if bases else f"class {node.name}", *start])


def init_of(node: ast.ClassDef) -> ast.FunctionDef | None:
    return next((part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"), None)


def plain(text: str) -> str:
    "Words that Markdown shows as they are; what stands between backticks stays code."
    parts = text.split("`") if text.count("`") % 2 == 0 else [text.replace("`", "'")]
    escaped = [re.sub(r"(--|[\\*_{}\[\]<>$~^@|#])", r"\\\1", part) for part in parts]
    return "`".join(part if i % 2 else escaped[i] for i, part in enumerate(parts))


def table(head: list[str], rows: list[list[str]], widths: list[int]) -> str:
    line = lambda cells: f"| {' | '.join(cells)} |"  # noqa: E731
    rule = f"|{'|'.join('-' * width for width in widths)}|"
    return "\n".join(["::: {.parameters}", line(head), rule, *map(line, rows), ":::"])  # a phone shows it in one column: theme.scss


def typed(entry: Entry) -> str:
    kind = (entry.kind + f" = {entry.default}" * bool(entry.default)).strip()
    return f"`{kind}`" if kind else ""


def explained(title: str, entries: list[Entry], comes_out: Entry | None = None) -> str:
    "A table of parameters or fields; none where there is nothing to say."
    rows = [[f"`{entry.name}`", typed(entry), plain(entry.says)] for entry in entries if entry.name != "*"]
    rows += [["*returns*", typed(comes_out), plain(comes_out.says)]] if comes_out and comes_out.says else []
    return (
        table([title, "Type", "Meaning"], rows, [20, 30, 50])
        if comes_out and comes_out.says or any(entry.kind or entry.says for entry in entries)
        else ""
    )


def methods(module: Module, node: ast.ClassDef) -> str:
    "A table of the public methods and properties."
    rows = []
    for part in node.body:
        if not isinstance(part, ast.FunctionDef) or part.name.startswith("_"):
            continue
        marks = [ast.unparse(mark) for mark in part.decorator_list]
        given = parameters(module, part)
        head = part.name if any(mark.endswith("property") for mark in marks) else signature(part.name, given, None).replace("\n    ", "")
        comes_out = outcome(module, part) or Entry("", "", "", "")
        says = plain(" ".join((ast.get_docstring(part) or "").partition("\n\n")[0].split()))
        beside = [f"`{entry.name}`: {plain(entry.says)}" for entry in given if entry.says]
        beside += [f"returns {plain(comes_out.says)}"] if comes_out.says else []
        told = f"{says} *{'; '.join(beside)}*" if beside else says
        rows.append([f"[`{' '.join(head.split())}`]{{#{node.name.lower()}.{part.name.lower()}}}", typed(comes_out), told.strip()])
    return table(["Method", "Returns", "Meaning"], rows, [30, 20, 50]) if rows else ""


def origin(module: Module, name: str) -> str:
    "Which functions of the module return a class."
    givers = [
        f"`{other.name}()`"
        for other in module.definitions.values()
        if isinstance(other, ast.FunctionDef) and re.search(rf"\b{name}\b", text(other.returns))
    ]
    return f"Comes from {', '.join(givers)}." if givers else ""


def docstring(text: str) -> tuple[str, str]:
    "A numpydoc docstring as Markdown: its first line in italics with what follows; then every section with its title."
    text, *sections = TITLE.split(cleandoc(text))
    summary, _, more = text.partition("\n\n")
    parts = []
    for title, body in zip(sections[::2], sections[1::2]):
        parts.append(f"**{title}**")
        for entry in re.split(r"\n(?=\S)", body.strip()) if re.search(r"^ +\S", body, re.MULTILINE) else [body]:
            name, _, description = entry.partition("\n")
            key, comma, about = re.sub(r"(\]), ([\w' ]+)$", r"\1\0, \2", name.strip()).partition("\0")  # table[column], the mean
            parts.append(f"- `{key}`{comma and about}: {cleandoc(description)}" if description.startswith(" ") else entry.strip())
    join = lambda parts: "\n\n".join(part.strip() for part in parts if part.strip())  # noqa: E731
    return join([f"*{summary.strip()}*" if summary.strip() else "", more]), join(parts)


def description(module: Module, name: str) -> str:
    "What a page says of a name, but for an example."
    node = module.definitions[name]
    says, sections = docstring(ast.get_docstring(node) or "")
    config = get_config()
    source = f"{config.git_url}/blob/{config.branch}/{module.path}#L{node.lineno}"
    if isinstance(node, ast.FunctionDef):
        tables = [explained("Parameter", parameters(module, node), outcome(module, node))]
    else:
        tables = [explained("Field", fields(module, node))]
        tables += [explained("Parameter", parameters(module, init))] if (init := init_of(node)) else []
        tables += [methods(module, node), origin(module, name)]
    head = f'---\n\n[source]({source}){{target="_blank" style="float:right; font-size:smaller"}}\n\n### {name}'
    return "\n\n".join(filter(None, [head, f"```python\n{written(module, node)}\n```", says, *tables, sections]))


# ---- code that a page shows


def parsed(cell) -> ast.Module | None:
    "The code of a cell, where it is Python; None of any other cell, and of a description. Not to be changed: it is kept."
    if cell.cell_type != "code" or described(cell) or cell.get("metadata", {}).get("language", "python") != "python":
        return None
    return python(cell.source)


@lru_cache(500)
def python(source: str) -> ast.Module | None:
    try:
        return ast.parse(re.sub(r"^(\s*)[!%].*$", r"\1pass", source, flags=re.MULTILINE))
    except SyntaxError:
        return None


def described(cell) -> str | None:
    "The name that a cell describes."
    match = re.search(r"^show_doc\((\w+)\)", cell.source, re.MULTILINE) if cell.cell_type == "code" else None
    return match and match[1]


def expects_error(node: ast.AST) -> bool:
    "Whether it is `with pytest.raises(…):`, or one of its kin."
    return isinstance(node, ast.With) and any(re.search(r"\b(raises|warns)\(", ast.unparse(item.context_expr)) for item in node.items)


def calls(node: ast.AST, name: str) -> bool:
    "Whether it calls `name`, as it is or as an attribute, or a method of the class `name`; what is expected to fail does not count."
    if expects_error(node):
        return False
    if isinstance(node, ast.Call):
        called = node.func
        if isinstance(called, ast.Name) and called.id == name:
            return True
        if isinstance(called, ast.Attribute) and (isinstance(called.value, ast.Name) and called.value.id == name):
            return True
    return any(calls(child, name) for child in ast.iter_child_nodes(node))


def names(node: ast.AST, context: type) -> set[str]:
    "Those that are read (`ast.Load`) or bound (`ast.Store`), but for those that only a comprehension has."
    parts = [*ast.walk(node)]
    inner = {
        id(name): name.id
        for part in parts
        if isinstance(part, ast.comprehension)
        for name in ast.walk(part.target)
        if isinstance(name, ast.Name)
    }
    used = {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, context) and id(part) not in inner}
    return used - {*inner.values()} if context is ast.Load else used


def statements(nodes: list, deep: bool) -> Iterator[ast.stmt]:
    "Those that stand by themselves; with `deep` those within loops, functions and the like."
    for node in nodes:
        inner = [part for block in ("body", "orelse", "finalbody") for part in getattr(node, block, [])]
        if deep and inner and not expects_error(node):
            yield from statements(inner, False)
            yield from statements(inner, True)
        elif not deep and not inner:
            yield node


def excerpt(source: str, tree: ast.Module, name: str, private: frozenset[str] = frozenset()) -> str | None:
    "At most three lines of a cell: the statement that calls `name`, after those that make what it takes; None where none is that short."
    lines = source.splitlines()
    as_is = lambda node: dedent("\n".join(lines[node.lineno - 1 : node.end_lineno])).splitlines()  # noqa: E731
    for deep in (False, True):
        for node in statements(tree.body, deep):
            if not calls(node, name) or takes(node, private):
                continue
            shown, needs = as_is(node), names(node, ast.Load)
            if len(shown) > 3:
                shown = [ast.unparse(node)]
                if len(shown[0]) > 2 * WIDTH:
                    continue
            for before in reversed([other for other in tree.body if other.end_lineno < node.lineno and not deep]):
                made = isinstance(before, ast.Assign) and not names(before.value, ast.Load) & SCENERY and names(before, ast.Store)
                made = set() if takes(before, private) else made
                if made and made & needs and len(shown) + len(as_is(before)) <= 3:
                    shown, needs = as_is(before) + shown, needs | names(before, ast.Load)
            return "\n".join(line.rstrip().removesuffix(";") for line in shown)
    return None


def bound(node: ast.stmt) -> set[str]:
    "The names that a statement binds, and those of what it changes."
    given = names(node, ast.Store)
    for part in ast.walk(node):
        if isinstance(part, (ast.FunctionDef, ast.ClassDef)):
            given.add(part.name)
        elif isinstance(part, ast.alias):
            given.add((part.asname or part.name).partition(".")[0])
        elif isinstance(part, (ast.Attribute, ast.Subscript)) and isinstance(part.ctx, ast.Store):
            given |= names(part.value, ast.Load)
        elif isinstance(part, ast.Expr) and isinstance(part.value, ast.Call) and not expects_error(node):
            inner = [call.func for call in ast.walk(part.value) if isinstance(call, ast.Call) and call is not part.value]
            makers = set().union(*(names(call, ast.Load) for call in inner))  # np of np.ones(3)
            given |= names(part.value, ast.Load) - makers - ({part.value.func.id} if isinstance(part.value.func, ast.Name) else set())
    return given


BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


def used(nodes: list, given: set[str] | frozenset[str] = frozenset()) -> set[str]:
    "The names that statements take from elsewhere, `given` apart."
    taken, known = set(), set(given)
    for node in nodes:
        inner = [part for block in BLOCKS if isinstance(blocks := getattr(node, block, None), list) for part in blocks]
        heads = [
            part for name, value in ast.iter_fields(node) if name not in BLOCKS for part in (value if isinstance(value, list) else [value])
        ]
        heads = [part for part in heads if isinstance(part, ast.AST)] if inner else [node]
        local = {part.arg for head in heads for part in ast.walk(head) if isinstance(part, ast.arg)}
        taken |= set().union(*(names(head, ast.Load) for head in heads)) - known - local
        if inner:
            local |= set().union(*(names(part, ast.Store) for part in (inner if isinstance(node, ast.FunctionDef) else heads)))
            taken |= used(inner, known | local)
        known |= bound(node) if isinstance(node, ast.stmt) else set()
    return taken


@lru_cache(None)
def private_attributes() -> frozenset[str]:
    "Attributes and methods of the classes of the package that begin with _, with the dot before them."
    inner: set[str] = set()
    for tree in package():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                inner |= {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
                inner |= {part.target.id for part in node.body if isinstance(part, ast.AnnAssign)}
                inner |= {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store)}
    return frozenset(f".{name}" for name in inner if is_private(name))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def private_names(nb) -> frozenset[str]:
    "What is private to the package and within reach of a notebook: of its module, imported from others, and attributes."
    path = path_of(nb)
    private = set(module(path).names) if path else set()
    for cell in nb.cells:
        if "import" not in cell.source or not re.search(r"\b_[A-Za-z]", cell.source):
            continue
        for node in ast.walk(parsed(cell) or ast.Module([], [])):
            if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == get_config().lib_name):
                private |= {alias.asname or alias.name for alias in node.names}
    return private_attributes() | {name for name in private if is_private(name)}


def takes(node: ast.AST, private: frozenset[str]) -> bool:
    "Whether a piece of code uses one of these names."
    return any(
        (isinstance(part, ast.Name) and part.id in private)
        or (isinstance(part, ast.Attribute) and f".{part.attr}" in private)
        or (isinstance(part, ast.alias) and (part.asname or part.name) in private)
        for part in ast.walk(node)
    )


def without(lines: list[str], end: int, nodes: list[ast.stmt], private: frozenset[str]) -> str:
    "The statements after line `end` that take no private name, nor what such a statement makes; none where no test is left."
    kept, spoiled, tests = [], set(), False
    for node in nodes:
        text, end = lines[end : node.end_lineno], node.end_lineno
        if takes(node, private) or names(node, ast.Load) & spoiled:
            spoiled |= bound(node)
        else:
            kept += text
            spoiled -= names(node, ast.Store)
            tests |= any(isinstance(part, ast.Assert) or expects_error(part) for part in ast.walk(node))
    return "\n".join(kept + lines[end:]).strip("\n") if tests else ""


def only_tests(cell, tree: ast.Module) -> bool:
    "Whether a cell tests and shows nothing."
    return not cell.get("outputs") and any(isinstance(node, ast.Assert) or expects_error(node) for node in ast.walk(tree))


# ---- processors


class Describe(Processor):
    "A description of every name that the module defines, under it an example from the page, if the page has one that is not beside it."

    def __init__(self, nb):
        super().__init__(nb)
        self.path, self.private = path_of(nb), private_names(nb)  # while the cells that say so are there

    def end(self):
        cells = [cell for cell in self.nb.cells if hasattr(cell, "source")]
        for k, cell in enumerate(cells):
            if name := described(cell):
                text = "\n\n".join(filter(None, [description(module(self.path), name), self.example(cells[k + 1 :], name)]))
                cell.outputs = [{"output_type": "display_data", "metadata": {}, "data": {"text/markdown": text.splitlines(True)}}]

    def example(self, below: list, name: str) -> str | None:
        read = [(cell, tree) for cell in below if (tree := parsed(cell))]
        for cell, tree in sorted(read, key=lambda pair: only_tests(*pair)):  # the first that shows something, else the first test
            if lines := excerpt(cell.source, tree, name, self.private):
                return None if is_beside(below, cell) else f"**Example**\n\n```python\n{lines}\n```"
        return None


def is_beside(below: list, cell) -> bool:
    "Whether a cell is an example itself: short, open, and the next code."
    following = next(other for other in below if other is cell or (other.cell_type == "code" and not described(other)))
    return following is cell and bool(cell.get("outputs")) and len(cell.source.splitlines()) <= 6


class Fold(Processor):
    """Folds the cells that test, show nothing, and make nothing that an open cell below uses.

    Of a cell that first makes what is used below, and then tests, the tests become a folded cell of their own. What takes names that
    are private to the package is no promise and is left out; of a cell that shows something by them, only what it shows stays.
    """

    def __init__(self, nb):
        super().__init__(nb)
        self.private = private_names(nb)

    def end(self):
        shown, needed = [], set()
        for cell in reversed(self.nb.cells):
            if (tree := parsed(cell)) is None:
                shown.append(cell)
                continue
            if cell.get("outputs"):
                if takes(tree, self.private) and "#| echo:" not in cell.source:
                    cell.source = f"#| echo: false\n{cell.source}"
                    shown.append(cell)
                    continue
            elif (start := first_test(tree, needed)) is not None:
                lines, end = cell.source.splitlines(), tree.body[start - 1].end_lineno if start else 0
                if tests := without(lines, end, tree.body[start:], self.private):
                    folded = mk_cell(PROMISES + tests)
                    folded.metadata["language"] = "python"
                    shown.append(folded)
                tree = ast.Module(tree.body[:start], [])
                cell.source = "\n".join(lines[:end])
            if tree.body:
                needed = (needed - set().union(*(names(node, ast.Store) for node in tree.body))) | used(tree.body)
                shown.append(cell)
        self.nb.cells = shown[::-1]


def first_test(tree: ast.Module, needed: set[str]) -> int | None:
    "From which statement on a cell makes nothing that is needed, if it tests there; else None."
    start = max((i + 1 for i, node in enumerate(tree.body) if bound(node) & needed), default=0)
    tests = any(isinstance(part, ast.Assert) or expects_error(part) for node in tree.body[start:] for part in ast.walk(node))
    return start if tests else None


class Links(Processor):
    "Names in backticks that lead to what they name: see `Lookup`."

    def cell(self, cell):
        lookup = Lookup()
        if cell.cell_type == "markdown":
            cell.source = lookup.linkify(cell.source)
        for output in cell.get("outputs", []):
            if text := output.get("data", {}).get("text/markdown"):
                output["data"]["text/markdown"] = lookup.linkify("".join(text)).splitlines(True)


@lru_cache(None)
def words() -> frozenset[str]:
    "What a name in backticks may mean besides a function: parameters, fields, columns, keys and commands of the package."
    meant: set[str] = set()
    for tree in package():
        listed = {
            id(part)
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
            for part in ast.walk(node)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.arg):
                meant.add(node.arg)
            elif isinstance(node, ast.ClassDef):
                meant |= {part.target.id for part in node.body if isinstance(part, ast.AnnAssign)}
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in listed:
                meant.add(node.value)
    return frozenset(meant)


class Lookup(NbdevLookup):
    """What a name in backticks leads to.

    `evaluate()`, `Evaluation`, `Evaluation.write` and `read_annotations` are names; `dist`, `mass_inside` and `peak` are words of the
    field, columns and options, though there are functions of that name: without parentheses they are no links.
    """

    def link_line(self, line: str) -> str:
        return re.sub(r"(?<!\[)`([A-Za-z_][\w.]*)(\(\))?`", self.linked, line)

    def linked(self, match: re.Match) -> str:
        name, call = match[1], match[2] or ""
        meant = call or "." in name or name[0].isupper() or ("_" in name and name not in words())
        address = self.doc(name) if meant else None
        return f"[`{name}{call}`]({address})" if address else match[0]


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
