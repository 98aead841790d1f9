"""What corruption costs: `python -m tests.benchmarks.robustness --shared ../shared [--cache DIR] [--quick]`.

Recall of photos (Flickr8k dev, COCO) and precision of sounds (ESC-10) that something happened to, and of words with
typos, for ConSE, the starter, and what training with augmentation and against attacks changes about it: three seeds,
bootstrap intervals. It writes the section of TRAINING.md; `--quick` prints one of few items and a single seed.

`corruptions.py` has what happens; `robust_photos.py` and `robust_sounds.py` have what is trained.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mmsearch.core import registry
from tests.benchmarks import robust_photos as photos
from tests.benchmarks import robust_sounds as sounds
from tests.benchmarks.corrupted import Corrupted

SEEDS = (0, 1, 2)
EVERY = 4
"""Of every how many dev photos one is asked for."""
FEW = 24
"""Photos of a quick run."""
REPORT = Path(__file__).with_name("TRAINING.md")
HEADING = "## Robustness"

MEANING = f"""\
`python -m tests.benchmarks.robustness --shared ../shared`. What is asked for is changed, everything else is as it
was: a bad copy in a good library. Mean over three seeds, ± their standard deviation; in round brackets what the change
costs; in square ones 95 % bootstrap intervals over photos (with all their captions) or over names and folds: of the
drop, and, paired, of the difference to the column named. Pictures and sounds were changed once, with seed 0; typos are
drawn anew for each seed. Photos are changed as they come out of the decoder, before they are squeezed into the model's
square.

- **{photos.SHIPPED}**: the recipe of `mmsearch/training/starter/recipe.py`; seed 0 is the shipped file. The second gate
  is one and the same in all three: it learned from photos as they were.
- **{photos.AUGMENTED}** photos: every second training photo has one copy with noise, blur, JPEG 5-40, a crop, up to 25
  degrees of turning or no colour, and one caption with a typo. The copy stands for the photo in {photos.TAKEN:.0%} of
  its turns. Quarter turns never train.
- **{photos.FGM}** photos: half of the loss is on features moved by {photos.RADIUS} of their length where it hurts most
  (Miyato et al., 2017).
- Sounds have no trained part in the starter; there a projection as `mmsearch train projection` makes it learns names
  and clips of two of ESC-10's folds, the third is asked for. **{sounds.AUGMENTED}**: with {sounds.COPIES} changed
  copies of each clip. **{sounds.FGM}**: `--adversarial fgm`. The epoch of all three is chosen on clean and changed
  clips of recordings that don't train.
"""


def section(corrupted: Corrupted, shared: Path, quick: bool, log: Callable[[str], object]) -> Iterator[str]:
    seeds = SEEDS[:1] if quick else SEEDS
    limit = FEW if quick else None
    data, dev = shared / "data" / "flickr8k", shared / "data" / "dev"
    yield f"{HEADING}\n\n{MEANING}"
    clips = sounds.esc10(corrupted, dev, 1 if quick else None)
    heard = sounds.table("words -> sounds, ESC-10, mAP", corrupted, clips, seeds)
    log("sounds\n")
    found = photos.variants(corrupted, data, limit, seeds, log)
    flickr = photos.flickr8k(corrupted, data, limit, EVERY)
    count = len(flickr.clean.features)
    title = f"{len(flickr.texts)} captions -> {len(flickr.places)} of {count} photos, Flickr8k dev, R@10"
    yield from photos.table(title, corrupted, flickr, found).lines()
    few = photos.coco(corrupted, dev, limit)
    yield ""
    title = f"{len(few.texts)} captions -> {len(few.places)} photos, COCO, R@10"
    yield from photos.table(title, corrupted, few, found).lines()
    yield ""
    yield from heard.lines()


def replaced(report: str, made: str) -> str:
    """The report with this section instead of its old one, or after all others."""
    before, _, rest = report.partition(HEADING)
    _, following, after = rest.partition("\n## ")
    return f"{before.rstrip()}\n\n{made.rstrip()}\n{following}{after}"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--cache", type=Path, help="keep features and weights here from one run to the next")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        cache = (options.cache or Path(folder)) / ("quick" if options.quick else "")
        corrupted = Corrupted(registry.load_part("spaces", "starter")("cpu", "fp32"), cache)
        made = "\n".join(section(corrupted, options.shared, options.quick, sys.stderr.write)) + "\n"
    sys.stdout.write(made)
    if not options.quick:
        REPORT.write_text(replaced(REPORT.read_text("utf-8"), made), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
