"The stills that the documentation shows, from synthetic clips. Usage: .ci/stills.py nbs/stills"

import sys
import tempfile
from pathlib import Path

from avesound.data.synth import SynthSpec, make_dataset
from avesound.embeddings.extract import WindowSettings, extract
from avesound.viewer.run import Run
from avesound.viewer.still import still


def make_stills(out_dir: Path) -> list[Path]:
    "Write them; they are as the present code draws them."
    with tempfile.TemporaryDirectory() as folder:
        data_set = make_dataset(Path(folder) / "data", spec=SynthSpec(difficulty="hard", seed=4), n_train=0, n_val=0, n_test=6)
        cache = Path(folder) / "cache"
        extract(data_set / "AVE", cache, windows=WindowSettings(lengths=(1.0,)), progress=False)
        run = Run(
            name="a synthetic clip",
            vid_dir=data_set / "AVE",
            vid_emb_dir=cache / "vid_emb",
            aud_emb_dir=cache / "aud_emb",
            annotations_csv=data_set / "annotations.csv",
        )
        out = out_dir / "clip.html"
        still(run, "CI-c3MTNwyD", out, play=True)
    return [out]


if __name__ == "__main__":
    for path in make_stills(Path(sys.argv[1])):
        print(path)
