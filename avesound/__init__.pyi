# What `import avesound` offers: read by type checkers, and by lazy_loader when the package is imported.
from .data.annotations import read_annotations as read_annotations
from .data.splits import read_clips as read_clips
from .data.synth import SynthSpec as SynthSpec
from .data.synth import make_dataset as make_dataset
from .embeddings.cache import EmbeddingCache as EmbeddingCache
from .embeddings.job import WindowSettings as WindowSettings
from .embeddings.extract import extract as extract
from .embeddings.fit import fit_projector as fit_projector
from .encoders.base import EncoderSpec as EncoderSpec
from .encoders.base import create_encoder as create_encoder
from .encoders.base import encoder_names as encoder_names
from .encoders.base import register_encoder as register_encoder
from .evaluation.compare import compare as compare
from .evaluation.crossmodal import evaluate_crossmodal as evaluate_crossmodal
from .evaluation.evaluate import evaluate as evaluate
from .evaluation.figures import plot_clip as plot_clip
from .evaluation.figures import plot_overall as plot_overall
from .evaluation.locate import locate as locate
from .evaluation.plan import Scoring as Scoring
from .localization.align import AlignSettings as AlignSettings
from .localization.align import align as align
from .localization.predict import predict as predict
from .media.decode import decode_clip as decode_clip
from .refiner.network import RefinerSettings as RefinerSettings
from .refiner.train import train_refiner as train_refiner
from .report.analyze import analyze as analyze
from .tuning.ablate import ablate as ablate
from .tuning.grid import Grid as Grid
from .tuning.sweep import sweep as sweep
from .viewer.inspector import Inspector as Inspector
from .viewer.still import still as still

__version__: str
