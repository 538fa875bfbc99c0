"""How long AVE takes with each encoder: `python -m benchmarks.how_long [--out bench/how_long.json] [--only NAMES]`.

Measured is the processor time of a made-up clip like those of AVE, in a fresh process with one thread; AVE is its 4,097 clips by
multiplication, and the page that shows it says so. Networks have random weights: what a matrix holds does not change how long it takes.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .clips import Bench, write_bench_clip
from .rounds import fresh, resident_bytes
from .table import Load, machine

AVE_CLIPS = 4097


@dataclass(frozen=True)
class Timed:
    "An encoder, and how many clips of how many seconds are enough to know what one of 10 s takes."

    encoder: str
    kinds: tuple[str, ...]  # what it makes: video, audio
    clips: int = 4  # that count; one more goes before them, which loads libraries
    seconds: int = 10

    @property
    def more(self) -> dict:
        "What is passed to `create_encoder`."
        return {} if self.encoder in ("signal", "logmel") else {"weights": "random", "device": "cpu", "dtype": "float32"}


ENCODERS = (
    Timed("signal", ("video", "audio")),
    Timed("logmel", ("audio",)),
    Timed("ast", ("audio",), clips=2),
    Timed("mc3_18", ("video",), clips=1),
    Timed("mc3_18_dense", ("video",), clips=2),
    Timed("mc3", ("video", "audio"), clips=1, seconds=2),
)


def clip_seconds(clips: str, folder: str, name: str) -> dict[str, float]:
    "Processor seconds of a clip of 10 s in one thread; bytes and files of its vectors; the most memory that the process held."
    from avesound.embeddings.extract import clip_jobs, planned
    from avesound.embeddings.job import WindowSettings, finish_clip, load_clip
    from avesound.encoders.base import create_encoder

    timed = next(timed for timed in ENCODERS if timed.encoder == name)
    if timed.more:  # signal and logmel leave torch alone, and their memory is without it
        import torch

        torch.set_num_threads(1)
    plan, towers = planned(Path(folder) / name, create_encoder(name, **timed.more), None, WindowSettings(), timed.kinds)
    for out in plan.folders.values():
        Path(out).mkdir(parents=True, exist_ok=True)
    seconds = []
    for job in clip_jobs(clips, plan).values():
        begin = time.process_time()
        loaded = load_clip(job)
        decoded = time.process_time()
        record = finish_clip(job, loaded, towers)
        if record["status"] != "ok" and not record["status"].startswith("no_"):
            raise RuntimeError(f"a clip is {record['status']}: {record['detail']}")
        seconds.append((decoded - begin, time.process_time() - decoded))
    counted, sizes = seconds[1:], [path.stat().st_size for path in (Path(folder) / name).rglob("*.npz")]
    decode_s, encode_s = (sum(column) / len(counted) * 10 / timed.seconds for column in zip(*counted, strict=True))
    n, longer = len(seconds), 10 / timed.seconds
    return {
        "decode_s": decode_s,
        "encode_s": encode_s,
        "bytes": sum(sizes) / n * longer,
        "files": len(sizes) / n,
        "peak": resident_bytes(peak=True),
    }


def measured(names: list[str], bench: Bench) -> dict:
    "What the page says of the encoders."
    load, encoders = Load(), {}
    for timed in ENCODERS:
        if timed.encoder not in names:
            continue
        clip = bench.synthetic[0].path
        if timed.seconds != 10:
            clip = bench.folder / f"made-{timed.seconds}s.mp4"
            write_bench_clip(clip, 360, 640, 1_200_000, seconds=timed.seconds)
        copies = bench.copies(timed.clips + 1, clip)
        encoders[timed.encoder] = fresh(clip_seconds, str(copies), str(bench.folder / "caches"), timed.encoder)
        encoders[timed.encoder] |= {"clips": timed.clips, "seconds": timed.seconds, "kinds": list(timed.kinds)}
        print(f"{timed.encoder}: {encoders[timed.encoder]}", flush=True)
    return {"machine": machine(), "others_cores": round(load.others(), 2), "encoders": encoders}


def main(argv: list[str] | None = None) -> None:
    from avesound.files import atomic_write

    known = [timed.encoder for timed in ENCODERS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.how_long", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("bench/how_long.json"), help="(default: %(default)s)")
    parser.add_argument("--only", default=",".join(known), help="names with commas between (default: %(default)s)")
    options = parser.parse_args(argv)
    names = [name.strip() for name in options.only.split(",")]
    if unknown := set(names) - set(known):
        parser.error(f"no encoder {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    with tempfile.TemporaryDirectory(prefix="avesound-how-long-") as folder:
        report = measured(names, Bench(1, Path(folder)))
    with atomic_write(options.out) as temporary:
        temporary.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
