"""What a query by words loads: only what it needs, in a process that has done nothing before."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mmsearch
from tests.conftest import CHECKOUT
from tests.generated import words

pytestmark = pytest.mark.slow

COLD = """
import sys
from mmsearch.cli import main
try:
    main()
finally:
    heavy = ("torch", "timm", "open_clip", "transformers", "torchvision", "torchaudio", "av", "matplotlib", "PIL")
    heavy += ("faiss", "alembic")
    print(",".join(name for name in heavy if name in sys.modules), file=sys.stderr)
"""


def test_a_query_by_words_loads_no_model_library(tmp_path: Path, folder: Path) -> None:
    words(folder / "note.txt", "a dog on the beach")
    with mmsearch.open(tmp_path / "library", space="starter", workers=1) as library:
        library.ingest(folder)
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "MMSEARCH_LIBRARY": str(tmp_path / "library")}
    command = [sys.executable, "-c", COLD, "query", "beach", "--mode", "vector"]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0 and b"note.txt" in done.stdout, done.stderr.decode()
    assert done.stderr.decode().strip() == ""
