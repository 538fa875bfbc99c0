"Collect nbs/**/*.ipynb as pytest items, so that one `pytest` runs the notebooks beside tests/ and counts both."

import contextlib
import gc
import importlib
import os
import signal
import sys
import traceback

import pytest
from hypothesis import settings

# How long an example takes says nothing on shared cores.
settings.register_profile("avesound", deadline=None)
settings.load_profile("avesound")

# One process holds all that the tests import, some million objects, and figures leave circles behind: to look for those as often as
# Python does, after 700 new objects, takes a twentieth of all processor time.
gc.set_threshold(20_000, 20, 20)

# To wait until what is written is on the disk is for power cuts, which no test makes: tens of thousands of times some milliseconds. Tests
# of when and how it is done put a function of their own in its place; processes that tests start do wait.
os.fsync = lambda descriptor: None


def pytest_configure(config):
    if hasattr(config, "workerinput"):  # one of several processes: tests of encoders start workers, which have what it had imported before
        import torch  # noqa: F401


EXPORTS = {"export", "exports", "exporti"}
WAITING = 5  # a machine that others use, too, may take so much longer


def pytest_addoption(parser):
    group = parser.getgroup("notebooks")
    group.addoption("--nb-flags", default="", help='nbdev flags whose cells are left out otherwise: --nb-flags "slow gpu"')
    group.addoption(
        "--nb-module",
        action="store_true",
        help="run the notebooks' tests against the exported modules, not against the notebooks' own definitions",
    )
    group.addoption(
        "--nb-seconds",
        type=float,
        default=180,
        help=f"seconds of processor time that a notebook may take, and {WAITING} times as many by the clock; 0: any (default: %(default)s)",
    )


def pytest_collect_file(file_path, parent):
    # Tutorials are run by tests/test_tutorials.py, as their pages show them; here only if one is named.
    left_out = file_path.parent.name == "tutorials" and not parent.session.isinitpath(file_path)
    if file_path.suffix == ".ipynb" and not file_path.name.startswith(("_", ".")) and not left_out:
        return NotebookFile.from_parent(parent, path=file_path)


# What takes longest begins first: who begins it last works on alone at the end. The other tests follow, then the other notebooks.
LONGEST = (
    "test_tutorials.py",
    "test_cli.py",
    "test_extract.py",
    "test_evaluate.py",
    "test_presence.py",
    "test_analyze.py",
    "test_repo.py",
    "test_browser.py",
    "test_inspector.py",
    "test_inspector_page.py",
    "test_reference.py",
    "test_workflow.py",
    "330_encoders_resnet3d.ipynb",
    "885_report_analyze.ipynb",
    "745_evaluation_evaluate.ipynb",
    "815_tuning_sweep.ipynb",
    "240_data_synth.ipynb",
)


def pytest_collection_modifyitems(items):
    place = {name: k for k, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (place.get(item.path.name, len(place)), item.path.suffix == ".ipynb"))


class NotebookFile(pytest.File):
    def collect(self):
        yield Notebook.from_parent(self, name="notebook")


class NotebookError(Exception):
    "A cell failed; the message shows it."


class OutOfTime(BaseException):
    "Not an Exception: code under test that catches those must not catch this."


class Notebook(pytest.Item):
    def reportinfo(self):
        return self.path, 0, str(self.path.relative_to(self.config.rootpath))

    def repr_failure(self, excinfo):
        return str(excinfo.value) if isinstance(excinfo.value, NotebookError) else super().repr_failure(excinfo)

    def runtest(self):
        from execnb.nbio import read_nb
        from execnb.shell import CaptureShell
        from nbdev.config import get_config
        from nbdev.process import extract_directives

        config, options = get_config(path=self.config.rootpath), self.config.option
        cells = [
            (cell.idx_ + 1, cell.source, extract_directives(cell, remove=False))
            for cell in read_nb(self.path).cells
            if cell.cell_type == "code"
        ]
        left_out = set(config.tst_flags.split()) - set(options.nb_flags.split())
        with _as_before(), contextlib.chdir(self.path.parent), _at_most(options.nb_seconds):
            os.environ["IN_TEST"] = "1"  # what nbdev_test sets
            shell = CaptureShell(self.path)
            module_name = next((args[0] for _, _, directives in cells if (args := directives.get("default_exp"))), None)
            against_module = options.nb_module and module_name is not None
            if against_module:
                module = importlib.import_module(f"{config.lib_name}.{module_name}")
                shell.user_ns.update({name: value for name, value in vars(module).items() if not name.startswith("__")})
            n_left_out = 0
            for number, source, directives in cells:
                if left_out & directives.keys():
                    n_left_out += 1
                    continue
                if directives.get("eval:") == ["false"] or (against_module and EXPORTS & directives.keys()):
                    continue
                shell.run(source)
                if shell.exc is not None:
                    _raise_from_cell(shell.exc, self.path.relative_to(self.config.rootpath), number, source)
            self.user_properties.append(("cells_left_out", n_left_out))


def _raise_from_cell(error, path, number, source):
    "Say which cell failed and how, show it, and show the traceback from the cell on."
    if isinstance(error, pytest.skip.Exception):
        raise error  # pytest.skip("no such data here") means in a notebook what it means in a test
    trace = traceback.TracebackException(type(error), error, error.__traceback__)
    in_cell = next((i for i, frame in enumerate(trace.stack) if frame.filename.startswith("<ipython-input")), None)
    at = None
    if in_cell is not None:
        at = trace.stack[in_cell].lineno
        del trace.stack[:in_cell]
    shown = "\n".join(f"{'>' if i == at else ' '}{i:4d} {line}" for i, line in enumerate(source.splitlines(), 1))
    what = " ".join("".join(trace.format_exception_only()).split())
    raise NotebookError(f"{path}, cell {number}: {what}\n\n{shown}\n\n{''.join(trace.format())}") from None


@contextlib.contextmanager
def _as_before():
    "What a notebook changes in the process, the next one does not see."

    def registered():  # encoders
        return getattr(sys.modules.get("avesound.encoders.base"), "_REGISTERED", {})

    environ, path, encoders = dict(os.environ), list(sys.path), dict(registered())
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(environ)
        sys.path[:] = path
        registered().clear()
        registered().update(encoders)
        if "matplotlib" in sys.modules:
            import matplotlib.pyplot as plt

            plt.close("all")
            plt.rcdefaults()


@contextlib.contextmanager
def _at_most(seconds):
    "Raise OutOfTime in the main thread after `seconds` of processor time, and again every second in case something caught it."
    if not seconds or not hasattr(signal, "setitimer"):
        yield
        return

    def spent():
        user, system, of_children, of_children_in_system, wall = os.times()
        return user + system + of_children + of_children_in_system, wall

    cpu_before, wall_before = spent()

    def stop(*_):
        cpu, wall = spent()
        if cpu - cpu_before > seconds:
            raise OutOfTime(f"took more than {seconds:g} s of processor time (--nb-seconds)")
        if wall - wall_before > WAITING * seconds:
            raise OutOfTime(f"ran longer than {WAITING * seconds:g} s ({WAITING} times --nb-seconds)")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 1, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def pytest_terminal_summary(terminalreporter, config):
    reports = [report for name in ("passed", "failed") for report in terminalreporter.stats.get(name, []) if report.when == "call"]
    n = sum(value for report in reports for name, value in report.user_properties if name == "cells_left_out")
    if n:
        terminalreporter.write_line(f"{n} notebook cells left out (nbdev flags; --nb-flags runs them)")
    for report in reports:
        for name, text in report.user_properties:
            if name == "measured":
                terminalreporter.write_line(text)
