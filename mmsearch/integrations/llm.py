"""Embedding models for the program `llm`: the spaces of mmsearch, `llm embed -m mmsearch/starter -c "a dog"`.

    llm embed-multi photos -m mmsearch/starter --binary --files Pictures '*.jpg'
    llm similar photos -c "a dog on a beach"

`llm` finds this module by an entry point; it loads no model before one is asked for.
"""

import tempfile
import threading
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

import llm

from mmsearch import Library, Media, available_models
from mmsearch import open as open_library
from mmsearch.core.paths import TEMPORARY
from mmsearch.errors import MediaError, MmsearchError
from mmsearch.types import Query, QueryLike

BATCH = 64


class MmsearchEmbeddingModel(llm.EmbeddingModel):
    """The vectors of one space: of words, and of pictures, sounds and documents as bytes.

    Embedding a file decodes it in a process of its own, as for a search. The vectors are those of queries: a video or a
    long sound is one vector. Thread safety: one call embeds at a time.
    """

    supports_text = True
    supports_binary = True
    batch_size = BATCH

    def __init__(self, space: str) -> None:
        self.model_id = f"mmsearch/{space}"
        self._space = space
        self._lock = threading.Lock()
        self._opened: tuple[tempfile.TemporaryDirectory[str], Library] | None = None
        self._numbers = count()

    def embed_batch(self, items: Iterable[str | bytes], *, key: str | None = None) -> Iterator[list[float]]:
        """Unit vectors, as lists of `dim` numbers, in order. Raises: llm.ModelError, with the hint of ours."""
        given = list(items)
        if not given:
            return
        try:
            with self._lock:
                vectors = self._embedded(given)
        except MediaError as error:
            raise llm.ModelError("the bytes are no medium that mmsearch reads: see mmsearch help files") from error
        except MmsearchError as error:
            raise llm.ModelError(f"{error.message}; {error.hint}" if error.hint else error.message) from error
        yield from vectors.tolist()

    def _embedded(self, given: list[str | bytes]):  # type: ignore[no-untyped-def]
        folder, library = self._library()
        files: list[Path] = []
        try:
            asked: list[QueryLike] = []
            for one in given:
                if isinstance(one, str):
                    asked.append(Query(text=one))
                    continue
                files.append(folder / f"given-{next(self._numbers)}")
                files[-1].write_bytes(one)
                asked.append(library.interpret(files[-1]))
            return library.embed(asked)
        finally:
            for file in files:
                file.unlink()

    def _library(self) -> tuple[Path, Library]:
        """A library of one word: it is what embeds, and knows how to decode what."""
        if self._opened is None:
            folder = tempfile.TemporaryDirectory(prefix=f"{TEMPORARY}llm-")
            library = open_library(Path(folder.name) / "library", space=self._space, workers=1)
            library.ingest_media(Media("word.txt", b"a word"))
            self._opened = (folder, library)
        return Path(self._opened[0].name), self._opened[1]

    def close(self) -> None:
        """End the decode worker, and remove what was temporary. It may be used again."""
        with self._lock:
            if self._opened is not None:
                folder, library = self._opened
                self._opened = None
                library.close()
                folder.cleanup()


@llm.hookimpl
def register_embedding_models(register):  # type: ignore[no-untyped-def]
    """The spaces whose weights are on this machine."""
    for model in available_models():
        if model.installed and model.problem is None and "text" in model.modalities:
            register(MmsearchEmbeddingModel(model.name))
