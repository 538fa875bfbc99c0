"How far from the device's own peak the towers run, and whether decoding keeps up with them."

import statistics
import time

from .clips import Bench
from .rounds import CORES, Row, Skipped, fresh_rows
from .table import line

TOWERS = [("mc3_18", 16 / 15, "video"), ("mc3_18_dense", 16 / 15, "video"), ("ast", 1.0, "audio"), ("mc3", 1.5, "video")]


@line("on a GPU", "clips of 10 s in a second on the GPU, and the share of its bfloat16 peak (as a large matrix product reaches it)")
def gpu(bench: Bench):
    import torch

    if not torch.cuda.is_available():
        raise Skipped("torch finds no GPU here")
    yield from fresh_rows(throughput, str(bench.synthetic[0].path), "cuda", bench.rounds, threads=CORES)


def per_second(work, n: int, rounds: int) -> list[float]:
    "How many of `n` things that `work` does are done in a second, in each round."
    work()
    values = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        values.append(n / (time.perf_counter() - start))
    return values


def peak_flops(device: str, rounds: int) -> float:
    "Operations in a second of a large product of bfloat16 matrices."
    import torch

    size = 4096 if device == "cuda" else 512
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)

    def products():
        for _ in range(20):
            a @ a
        if device == "cuda":
            torch.cuda.synchronize()

    return statistics.median(per_second(products, 20, rounds)) * 2 * size**3


def throughput(path: str, device: str, rounds: int) -> list[Row]:
    "Clips in a second: decoding with all cores, and each encoder alone."
    from concurrent.futures import ThreadPoolExecutor

    import torch

    from avesound.media.decode import decode_clip

    torch.set_num_threads(CORES)
    peak = peak_flops(device, rounds)
    n = 2 * CORES
    with ThreadPoolExecutor(CORES) as pool:
        decoded = per_second(lambda: list(pool.map(lambda _: decode_clip(path, fps=15, size=(128, 171)), range(n))), n, rounds)
    rows = [Row(f"decode, {CORES} cores", decoded, "clips/s")]
    return rows + [tower_row(path, device, rounds, peak, *tower) for tower in (TOWERS if device == "cuda" else TOWERS[1:2])]


def tower_row(path: str, device: str, rounds: int, peak: float, name: str, length_s: float, kind: str) -> Row:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from avesound.encoders.base import create_encoder, encode_clip
    from avesound.media.decode import decode_clip
    from avesound.timeline import sliding_windows

    encoder = create_encoder(name, weights="random", device=device, dtype="bfloat16" if device == "cuda" else "float32")
    as_needed = {"fps": encoder.spec.fps, "size": encoder.spec.size} if name == "mc3" else {"fps": 15, "size": (128, 171)}
    clip = decode_clip(path, **as_needed)
    windows = sliding_windows(10.0, length_s, 0.25)
    arguments = (windows, ()) if kind == "video" else (None, (windows,))
    with FlopCounterMode(display=False) as counter:
        encode_clip(encoder, clip, *arguments)
    values = per_second(lambda: [encode_clip(encoder, clip, *arguments) for _ in range(4)], 4, rounds)
    share = statistics.median(values) * counter.get_total_flops() / peak
    memory = f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB at most" if device == "cuda" else ""
    note = f"{share:.0%} of the bfloat16 peak of {peak / 1e12:.1f} TFLOP/s{memory}"
    return Row(f"{name}, {len(windows)} windows", values, "clips/s", note=note)
