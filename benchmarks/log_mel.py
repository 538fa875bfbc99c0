"Log-mel rows of overlapping windows are the same rows: computed once, sliced, equal bit for bit."

import numpy as np

from .clips import Bench
from .rounds import Row, as_seconds, fresh_rows, in_turns, ratios
from .table import line

KINDS = {"windows of 0.25, 0.5, 1, 2 and 5 s": ((0.25, 0.5, 1.0, 2.0, 5.0), 20), "windows of 1 s alone": ((1.0,), None)}


@line("log-mel", "log-mel rows of 40 windows, computed once for the clip and sliced, processor time of window by window against it")
def log_mel(bench: Bench):
    yield from fresh_rows(log_mel_times, str(bench.synthetic[0].path), bench.rounds)


def log_mel_times(path: str, rounds: int) -> list[Row]:
    import torch

    from avesound.encoders.logmel import SAMPLE_RATE, fbank, window_fbank
    from avesound.media.decode import decode_audio
    from avesound.timeline import sliding_windows, window_samples

    torch.set_num_threads(1)
    wav = decode_audio(path)
    rows = []
    for what, (lengths, bound) in KINDS.items():
        sets = [sliding_windows(len(wav) / SAMPLE_RATE, length, 0.25) for length in lengths]
        index = [window_samples(windows, SAMPLE_RATE, len(wav)) for windows in sets]
        mels: dict = {}
        work = {
            "each": lambda index=index, mels=mels: mels.update(each=[np.concatenate([fbank(wav[one][None]) for one in i]) for i in index]),
            "once": lambda sets=sets, mels=mels: mels.update(once=window_fbank(wav, sets)),
        }
        times = in_turns(work, 3 * rounds)
        equal = all(np.array_equal(a, b) for a, b in zip(mels["each"], mels["once"], strict=True))
        fault, note = ("", "equal bit for bit") if equal else ("not equal bit for bit", "")
        rows.append(Row(what, ratios(times, *work), at_least=bound, fault=fault, note=note, seconds=as_seconds(times)))
    return rows
