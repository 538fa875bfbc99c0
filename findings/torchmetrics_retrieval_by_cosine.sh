#!/usr/bin/env bash
# torchmetrics 1.9.0: in four of its retrieval metrics what is found with a score of zero or less is not found, also at the first rank.
#
# RetrievalMRR, RetrievalMAP, RetrievalRecall and RetrievalPrecision (and their functions) set the targets of all scores <= 0 to not relevant,
# and then rank. RetrievalHitRate, RetrievalNormalizedDCG, RetrievalRPrecision, RetrievalAUROC and RetrievalPrecisionRecallCurve rank alone.
# Seen with 50 pictures and 50 sounds, each of whose partners is the most similar of all. Their vectors lie on two sides of a direction that
# tells pictures from sounds, as those of two towers do, so that most cosines are negative.
# - by cosine, MRR, mAP, recall@5 and precision@1 are the share of partners above zero, about half; hit rate, nDCG, R-precision and AUROC are 1;
# - by negative distance, or the logarithms of probabilities, the four are 0.0 for a perfect ranking;
# - by cosine + 2 all are 1.0: the order is the same each time.
# With one partner each, recall@5 and hit rate@5 are the same by definition, and RetrievalPrecisionRecallCurve gives 1.0 for the recall@5 of
# which RetrievalRecall says 0.0. The classes' documentation wants "float predictions from a model output", that of the functions "estimated
# probabilities"; none says anything of zero, and nothing is warned of. It is so since 1.8.0, as pull request 3104 proposed ("Discard zero and
# negative predictions in retrieval metrics"); with 1.7.3 all are 1.0.
#
# What to do: hand in scores above zero, cosine + 2 for cosines, or take the metrics that rank alone.
#
# Downloads some gigabytes. Fails when the behaviour changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uv==0.13.9
cat >"$folder/metrics.py" <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

import torch
from torch.nn.functional import normalize
from torchmetrics import retrieval

warnings.simplefilter("error")
N, TOP, SIZE = 50, 5, 256
generator = torch.Generator().manual_seed(0)
content, noise = torch.randn(2, N, SIZE, generator=generator) / SIZE**0.5
kind = torch.zeros(SIZE)
kind[0] = 1.0  # what all pictures have in common, and all sounds the opposite of
pictures, sounds = normalize(content + kind, dim=1), normalize(content + 0.5 * noise - kind, dim=1)
cosines = pictures @ sounds.T
partners = torch.eye(N, dtype=torch.long)
queries = torch.arange(N)[:, None].expand(N, N)
assert (cosines.argmax(dim=1) == torch.arange(N)).all(), "each partner is the most similar of all"
METRICS = {
    "MRR": retrieval.RetrievalMRR(),
    "mAP": retrieval.RetrievalMAP(),
    f"recall@{TOP}": retrieval.RetrievalRecall(top_k=TOP),
    "precision@1": retrieval.RetrievalPrecision(top_k=1),
    f"hit rate@{TOP}": retrieval.RetrievalHitRate(top_k=TOP),
    "hit rate@1": retrieval.RetrievalHitRate(top_k=1),
    "nDCG": retrieval.RetrievalNormalizedDCG(),
    "R-precision": retrieval.RetrievalRPrecision(),
    "AUROC": retrieval.RetrievalAUROC(),
}


def measured(scores: torch.Tensor) -> dict[str, float]:
    scores, relevant, indexes = scores.flatten(), partners.flatten(), queries.flatten()
    seen = {name: round(float(metric(scores, relevant, indexes=indexes)), 2) for name, metric in METRICS.items()}
    _, recalls, _ = retrieval.RetrievalPrecisionRecallCurve(max_k=TOP)(scores, relevant, indexes=indexes)
    return seen | {f"recall@{TOP} of the curve": round(float(recalls[-1]), 2)}


SCORES = {
    "cosine + 2": cosines + 2,
    "cosine": cosines,
    "negative distance": -torch.cdist(pictures, sounds),
    "logarithm of probability": (cosines / 0.07).log_softmax(dim=1),
}
above = round(float((cosines.diag() > 0).float().mean()), 2)
print(f"torchmetrics {version('torchmetrics')}; {above:.0%} of the partners' cosines are above zero")
seen = {name: measured(scores) for name, scores in SCORES.items()}
for name, numbers in seen.items():
    print(f"{name}: {numbers}")
ranked = list(METRICS)[4:] + [f"recall@{TOP} of the curve"]
four = {"cosine + 2": 1.0, "cosine": above, "negative distance": 0.0, "logarithm of probability": 0.0}
if sys.argv[1] == "before":
    four = dict.fromkeys(four, 1.0)
described = {name: dict.fromkeys(list(METRICS)[:4], share) | dict.fromkeys(ranked, 1.0) for name, share in four.items()}
if seen != described or not 0 < above < 1:
    sys.exit("changed: other numbers than described")
PYTHON
for version in 1.9.0 1.7.3; do
    "$folder/venv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" "torchmetrics==$version" "torch==2.15.0" "numpy<3" "setuptools<81"
    "$folder/venv/bin/python" "$folder/metrics.py" "$([ "$version" = 1.9.0 ] && echo now || echo before)"
done
echo "as described: a perfect ranking is worth nothing where its scores are below zero"
