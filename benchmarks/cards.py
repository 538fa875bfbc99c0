"""The results of known encoders: cards in `benchmarks/cards`, and the part of `nbs/howto/results.md` that is made from them.

    python -m benchmarks.cards                                writes that part
    python -m benchmarks.cards --check                        fails where it is not that of the cards
    python -m benchmarks.cards --encoder A --audio_encoder B  measures an encoder on the synthetic sets first, and keeps its card

All options are handed to `avesound benchmark`, which works in bench/cards, needs no data, and goes on where it was interrupted.
"""

import argparse
import re
import shutil
import sys
from pathlib import Path

from .rounds import ROOT

CARDS, PAGE = ROOT / "benchmarks" / "cards", ROOT / "nbs" / "howto" / "results.md"
BEGIN, END = "<!-- cards: made by `python -m benchmarks.cards` -->", "<!-- end of cards -->"
# Encoders that have not been measured, since their weights could not be had where the cards were made: what to run where they can.
WAITING = {
    "efficientnet_lite0+aisfx": "--encoder efficientnet_lite0 --audio_encoder aisfx",
    "pe_av": "--encoder pe_av",
    "fate": "--encoder fate",
}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cards", description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="only say whether the page is that of the cards")
    known, options = parser.parse_known_args(argv)
    if options:
        measure(options)
    before = PAGE.read_text(encoding="utf-8")
    text = with_cards(before)
    if known.check and text != before:
        sys.exit(f"{PAGE.relative_to(ROOT)} is not that of {CARDS.relative_to(ROOT)}: run python -m benchmarks.cards")
    if not known.check:
        from avesound.files import atomic_write

        with atomic_write(PAGE) as temporary:
            temporary.write_text(text, encoding="utf-8")
        print(PAGE.relative_to(ROOT))


def measure(options: list[str]) -> None:
    "Measure an encoder on the synthetic sets, and keep its card."
    from avesound.cli import main as avesound
    from avesound.evaluation.card import read_card

    words = [words for words in options if not words.startswith("-")]
    folder = Path("bench/cards") / re.sub(r"[^\w.-]+", "_", "_".join(words))
    if avesound(["benchmark", *options, "--data", "synth", "--synth_dir", "bench/cards/synth", "--out_dir", str(folder)]):
        sys.exit("no card was made")
    kept = CARDS / f"{re.sub(r'[^a-zA-Z0-9_.+-]', '_', read_card(folder).name)}.json"
    shutil.copyfile(folder / "card.json", kept)
    print(kept.relative_to(ROOT))


def with_cards(page: str) -> str:
    "The page with the part that the cards say."
    head, _, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not end:
        sys.exit(f"{PAGE.relative_to(ROOT)} has no place for the cards: {BEGIN} … {END}")
    return f"{head}{BEGIN}\n\n{part()}\n{END}{tail}"


def part() -> str:
    "Tables of all cards, and what nobody has measured yet."
    from avesound.evaluation.card import markdown_table, read_card
    from avesound.lettering import markdown_text
    from avesound.report.leaderboard import leaderboard

    cards = [read_card(path) for path in sorted(CARDS.glob("*.json"))]
    cards.sort(key=lambda card: (card.is_control, card.name))
    rows = [[f"`{card.name}`", markdown_text(card.weights), "control" if card.is_control else "yes"] for card in cards]
    names = {card.name for card in cards}
    rows += [[f"`{name}`", "", "**not measured yet**"] for name in WAITING if name not in names]
    commands = [
        f"avesound benchmark {options} \\\n    --data synth --out_dir {name}" for name, options in WAITING.items() if name not in names
    ]
    lacking = (
        ["The empty rows wait for somebody who has the weights; what to run:", "```bash\n" + "\n".join(commands) + "\n```"]
        if commands
        else []
    )
    tables = leaderboard(cards, metrics=("dist", "auroc")).as_markdown(level=3).rstrip()
    return "\n\n".join([markdown_table([["encoder", "weights", "measured"], *rows]), *lacking, tables]) + "\n"


if __name__ == "__main__":
    main()
