"Decoding and resizing cost little more than decoding alone, which no reader of these files can avoid."

from .clips import Bench
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
    from avesound.media.decode import decode_clip

    for clip in bench.clips:
        work = {
            "decode_clip": lambda path=clip.path: decode_clip(path, fps=16, size=(112, 112), audio=False),
            "decode only": lambda path=clip.path: decode_only(path),
        }
        times = in_turns(work, 3 * bench.rounds)  # a small difference of short times: more rounds
        yield Row(clip.name, ratios(times, *work), at_most=1.30 if clip.height < 720 else 1.20, seconds=as_seconds(times))
