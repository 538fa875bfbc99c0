"What several tests need: where the real clips are, and clips made here."

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("AVESOUND_TEST_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def real_clips() -> Path:
    "The folder of real clips; the test is skipped where it is absent."
    folder = DATA / "clips"
    if not folder.is_dir():
        pytest.skip(f"real clips are not at hand ({folder}); set AVESOUND_TEST_DATA")
    return folder


def flash_and_click(duration_s=4.0, fps=20, sample_rate=16000, size=(96, 128), rotate=0):
    "A white square in the upper left and a click at 0.5, 1.5, … s, each 0.12 s long."
    t, n = np.arange(int(duration_s * fps)) / fps, np.arange(int(duration_s * sample_rate)) / sample_rate
    frames = np.full((len(t), *size, 3), 40, np.uint8)
    frames[:, 10:40, 20:50] = np.where((t % 1 >= 0.5 - 1e-9) & (t % 1 < 0.62), 235, 40)[:, None, None, None]
    click = (n % 1 >= 0.5) & (n % 1 < 0.62)
    return frames, (0.5 * click * np.sin(2 * np.pi * 880 * n)).astype(np.float32)


@pytest.fixture(scope="session")
def small_set(tmp_path_factory) -> Path:
    "A folder of eight short clips, two of them unusable."
    from avesound.data.synth import SynthSpec, render_clip
    from avesound.media.write import write_clip

    folder = tmp_path_factory.mktemp("clips")
    for i in range(6):
        clip = render_clip(SynthSpec(difficulty="medium", duration_s=4, seed=5), i)
        write_clip(folder / f"clip-{i}.mp4", clip.frames, clip.fps, None if i == 3 else clip.wav, clip.sample_rate)
    (folder / "broken.mp4").write_bytes(b"\0" * 4096)
    whole = (folder / "clip-0.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture
def small_disk(tmp_path):
    "A file system of its own with little room, and what gives it more."

    def mount(options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(tmp_path / "disk")]
        return shutil.which("mount") is not None and subprocess.run(command, capture_output=True).returncode == 0

    (tmp_path / "disk").mkdir()
    if not mount("size=40k"):
        pytest.skip("no right to mount a file system here")
    yield tmp_path / "disk", lambda size: mount(f"remount,size={size}")
    subprocess.run(["umount", "-l", str(tmp_path / "disk")], check=True)  # -l: torch keeps files open that it could not write


@pytest.fixture
def blank_figures(monkeypatch):
    "The figures of a report are laid out, but not drawn, which takes most of its time: for tests that read what it says."
    from avesound.report import findings

    monkeypatch.setattr(findings, "figure_bytes", lambda figure, kind="png": b"")
    monkeypatch.setattr(findings, "figure_svg", lambda figure, name: '<svg xmlns="http://www.w3.org/2000/svg"></svg>')
