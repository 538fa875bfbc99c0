"Decoding and resizing cost little more than decoding alone, which no reader of these files can avoid."

from .clips import Bench, BenchClip
from .rounds import Row, as_seconds, in_turns, ratios
from .table import line


def decode_only(path):
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        for _ in container.decode(stream):
            pass


@line("decode", "decode and resize to 112 px at 16 fps, processor time against decoding alone")
def decode(bench: Bench):
    for clip in bench.clips:
        yield against_decoding(bench, clip, 16, at_most=1.30 if clip.height < 720 else 1.0)
    yield against_decoding(bench, bench.hevc, 12, at_most=0.85)


def against_decoding(bench: Bench, clip: BenchClip, fps: int, at_most: float) -> Row:
    from avesound.media.decode import decode_clip

    work = {
        "decode_clip": lambda: decode_clip(clip.path, fps=fps, size=(112, 112), audio=False),
        "decode only": lambda: decode_only(clip.path),
    }
    times = in_turns(work, 3 * bench.rounds)  # a small difference of short times: more rounds
    return Row(clip.name + f", shown at {fps}" * (fps != 16), ratios(times, *work), at_most=at_most, seconds=as_seconds(times))
