"""When does an event sound in a video, and how well does a frozen audio-visual encoder know it?

The workflow in names, each loaded when it is first used (importing this package imports nothing else):

- clips and annotations: `read_annotations`, `read_clips`, `decode_clip`, `make_dataset`, `SynthSpec`
- encoders: `create_encoder`, `register_encoder`, `EncoderSpec`, `encoder_names`
- embeddings: `extract`, `WindowSettings`, `EmbeddingCache`, `fit_projector`
- from curves to moments: `align`, `AlignSettings`, `predict`; of a file, without annotations: `locate`
- results: `evaluate`, `Scoring`, `evaluate_crossmodal`, `compare`, `plot_overall`, `plot_clip`, `analyze`
- beyond defaults: `sweep`, `Grid`, `ablate`, `train_refiner`, `RefinerSettings`
- to look at clips: `Inspector`, `still`

Everything else lies in packages: data, media, encoders, embeddings, localization, metrics, evaluation, refiner, tuning, report, viewer.
The same as commands: `avesound --help`, or `python -m avesound --help`.
"""

__version__ = "0.1.0"

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
