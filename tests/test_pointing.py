"Where the PDF lies when ear and eye disagree: from the file to the table."

import json

import numpy as np
import pandas as pd
import pytest

from avesound import Scoring, evaluate, extract
from avesound.cli import main
from avesound.data.annotations import read_annotations
from avesound.data.senses import PARTS, write_senses
from avesound.data.synth import SynthSpec, make_dataset


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    "Easy clips, each event heard for a second longer and seen for a second more before; the encoder finds most of them."
    folder = tmp_path_factory.mktemp("pointing")
    small = {"size": (72, 96), "fps": 16, "sample_rate": 8000}
    data = make_dataset(folder / "data", spec=SynthSpec(difficulty="easy", seed=5, **small), n_train=0, n_val=0, n_test=16)
    extract(data / "AVE", folder / "cache", progress=False)
    table = read_annotations(data / "annotations.csv")
    heard = table.assign(sense="heard", end_s=(table["end_s"] + 1).clip(upper=10))
    seen = table.assign(sense="seen", start_s=(table["start_s"] - 1).clip(lower=0))
    write_senses(pd.concat([heard, seen]), folder / "senses.csv")
    return folder


def scored(project, **scoring):
    return evaluate(project / "cache", project / "data/annotations.csv", scoring=Scoring(n_boot=50, **scoring))


def test_an_encoder_that_finds_the_events_gains_where_they_are_heard_and_seen(project):
    table = scored(project, senses_csv=project / "senses.csv").pointing
    assert table.n_clips == 16 and table.gains["encoder"]["both"].low > 0.1
    assert all(table.gains["encoder"][part].mean < 0.05 for part in ("heard", "seen", "neither")), table.gains["encoder"]
    assert table.time["apart"].n == 0 and table.differences["both"].best in ("loudest", "motion", "centre")
    assert np.allclose(table.clips[[f"mass_{part}" for part in PARTS]].sum(axis=1), 1)
    assert set(table.clips["method"]) == {"encoder", "centre", "loudest", "motion"}  # its picture vectors hear: no wrong sound from pairs


def test_nothing_changes_without_the_file(project):
    with_it, without = scored(project, senses_csv=project / "senses.csv"), scored(project)
    assert without.pointing is None and "pointing" not in without.overall.as_json() and "ear and eye" not in str(without)
    pd.testing.assert_frame_equal(with_it.summary, without.summary)
    assert with_it.overall.means == without.overall.means


def test_the_command_writes_it_and_says_where(project, tmp_path, capsys):
    line = f"--vid_emb_dir {project}/cache --aud_emb_dir {project}/cache --annotations_csv {project}/data/annotations.csv --n_boot 20"
    assert main(f"evaluate {line} --senses_csv {project}/senses.csv --summary_csv {tmp_path}/s.csv".split()) == 0
    printed = capsys.readouterr().out
    assert "ear and eye: 16 clips" in printed and "s_pointing.csv" in printed.splitlines()[-1]
    rows, record = pd.read_csv(tmp_path / "s_pointing.csv"), json.loads((tmp_path / "s.json").read_text())
    own = rows[rows["method"] == "encoder"]
    gain = (own["mass_both"] - own["time_both"]).where((own["time_both"] > 0) & (own["time_both"] < 1))
    assert record["pointing"]["gains"]["encoder"]["both"]["mean"] == pytest.approx(gain.mean(), abs=1e-5)
    assert set(rows["run_id"]) == {record["run"]["id"]}


@pytest.mark.parametrize(
    "text, says",
    [
        ("video_id,start_s,end_s,sense\nelsewhere,1,2,heard\n", "of none of 16 scored clips is it known"),
        ("video_id,start_s,end_s\na,1,2\n", "no column sense"),
        (None, "no such file"),
    ],
)
def test_a_file_that_says_nothing_of_the_clips_is_refused(project, tmp_path, capsys, text, says):
    if text is not None:
        (tmp_path / "senses.csv").write_text(text)
    line = f"--vid_emb_dir {project}/cache --aud_emb_dir {project}/cache --annotations_csv {project}/data/annotations.csv"
    assert main(f"evaluate {line} --senses_csv {tmp_path}/senses.csv --summary_csv {tmp_path}/out/s.csv".split()) == 1
    assert says in capsys.readouterr().err and not (tmp_path / "out").exists()
