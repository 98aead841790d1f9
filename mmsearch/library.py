"""Library: a folder of vectors and what they stand for. The only thing the shell and the server know."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from copy import copy
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Unpack

from mmsearch.catalog.commits import current_commit
from mmsearch.catalog.spaces import active_space
from mmsearch.context.context import LibraryContext
from mmsearch.context.restricted import RestrictedContext
from mmsearch.core import config, key_stores, registry, vault
from mmsearch.core.arguments import checked_arguments, checked_methods
from mmsearch.core.config import Settings, SettingsArguments
from mmsearch.core.filters import filter_of
from mmsearch.core.filters.ast import And, Filter
from mmsearch.core.later import later
from mmsearch.core.paths import default_library
from mmsearch.errors import LibraryEmpty
from mmsearch.maintenance.ingestion import LibraryIngestion
from mmsearch.maintenance.item_files import LibraryFiles
from mmsearch.maintenance.items import LibraryItems
from mmsearch.maintenance.knowledge import LibraryKnowledge
from mmsearch.maintenance.restriction import restrictable
from mmsearch.maintenance.safekeeping import LibrarySafekeeping
from mmsearch.maintenance.searches import LibrarySearches
from mmsearch.search import batch, pipeline
from mmsearch.search import keywords as search_keywords
from mmsearch.search import query as search_query
from mmsearch.types import Hit, Label, Modality, Prepared, Query, QueryLike, Vectors

if TYPE_CHECKING:
    from mmsearch import evaluate as evaluation
    from mmsearch.labels import labelling
    from mmsearch.maintenance import audit as auditing
    from mmsearch.maintenance import encryption as encrypting
    from mmsearch.maintenance import index as indexes
    from mmsearch.maintenance import privacy as keeping
    from mmsearch.maintenance import tokens as access
    from mmsearch.models import switch
    from mmsearch.search import duplicates, explanations, witnesses
    from mmsearch.training.training import LibraryTraining
else:
    evaluation, labelling = later("mmsearch.evaluate"), later("mmsearch.labels.labelling")
    auditing, encrypting = later("mmsearch.maintenance.audit"), later("mmsearch.maintenance.encryption")
    indexes, keeping = later("mmsearch.maintenance.index"), later("mmsearch.maintenance.privacy")
    access, switch = later("mmsearch.maintenance.tokens"), later("mmsearch.models.switch")
    duplicates, explanations = later("mmsearch.search.duplicates"), later("mmsearch.search.explanations")
    witnesses = later("mmsearch.search.witnesses")


@restrictable
@checked_methods
class Library(
    LibraryIngestion, LibraryItems, LibraryFiles, LibraryKnowledge, LibrarySearches, LibrarySafekeeping
):  # fmt: skip
    """One library. Open it with `mmsearch.open`; close it, or use it in a `with` statement.

    Thread safety: any number of threads may search and read. One ingest, remove or prune runs at a time, in this
    process or any other (LibraryLocked). Nothing is read or written before it is needed; the first ingest makes the
    folder.
    """

    def __init__(self, path: Path, chosen: Settings, space: str | None = None, trusted: Sequence[str] = ()) -> None:
        self.path = path
        self.settings = chosen
        self._space = space
        self._tokens: access.LibraryTokens | None = None
        self._begun = False
        """Whether anything is known to have been committed, which stays so."""
        self._context = LibraryContext(path, chosen, space, trusted)

    def __repr__(self) -> str:
        return f"<mmsearch.Library {os.fspath(self.path)!r}, {self._context.state}>"

    def __enter__(self) -> Library:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the decoding processes and close the catalog. The library may be used again: it opens anew."""
        self._context.close()

    def rest(self) -> None:
        """Close the library's files until the next use; models and indexes stay loaded. What others use stays open."""
        self._context.rest()

    def only(self, filter: str | Filter, *, tagging: bool = False) -> Library:
        """The same library as if it held only the items that match: whatever it answers, its confidences and counts
        too, is what a library without the others would. It changes nothing (LibraryReadOnly). It uses this one, which
        stays open for as long, and what it reads lies in the folder `slices` below the library's.

        Args:
            filter: As in `search`. What matches is asked anew whenever the library changes.
            tagging: Let `tag` and `set_meta` change what matches. What they say is said of the bytes: copies that
                do not match have it, too.

        Raises: InvalidInput for a filter that is none.
        """
        return self._only(filter, owning=False, tagging=tagging)

    def _only(self, filter: str | Filter, *, owning: bool, tagging: bool = False) -> Library:
        made, tree = copy(self), filter_of(filter)
        chosen = tree if tree is not None else And(())
        made._context = RestrictedContext(self._context, chosen, owning=owning, tagging=tagging)
        return made

    @property
    def tokens(self) -> access.LibraryTokens:
        """Who else may ask a server of this library."""
        if self._tokens is None:
            self._tokens = access.LibraryTokens(self._context)
        return self._tokens

    @property
    def audit(self) -> auditing.LibraryAudit:
        """Who asked a server of this library for what."""
        return auditing.LibraryAudit(self._context, self.tokens)

    @property
    def encryption(self) -> encrypting.LibraryEncryption:
        """Whether this library is encrypted, and by what its key is protected."""
        return encrypting.LibraryEncryption(self._context)

    @property
    def privacy(self) -> keeping.LibraryPrivacy:
        """What this library keeps of people and places."""
        return keeping.LibraryPrivacy(self._context, self._settle)

    def _settle(self, settings: Settings) -> None:
        self.settings = settings
        self._context.settle(settings)

    def _choose_space(self, roots: Sequence[Path]) -> list[str]:
        if self.settings.space != config.AUTO:
            return []
        if self._context.store.exists() and self._context.catalog().read(active_space) is not None:
            return []
        found = self.model.choice(*roots)
        self._context.choose(found.name)
        return [f"space = auto took {found.name}{found.instead}"]

    def identity(self) -> str:
        """Tells the library from any other, and its catalog from one that was put in its place.

        Raises: LibraryNotFound if it is gone.
        """
        return self._context.identity()

    # Finding

    def search(
        self,
        query: QueryLike,
        k: int = 10,
        *,
        offset: int = 0,
        modalities: Collection[Modality] | None = None,
        mode: search_keywords.Mode = "hybrid",
        filter: str | Filter | None = None,
        dedup: bool | None = None,
        moments: bool = False,
    ) -> list[Hit]:
        """The k items that match best.

        Args:
            query: A str is words, a path the medium in that file; a PIL image, (samples, rate); or a `Query`.
            offset: Results to pass over: `k=10, offset=10` is the second page.
            modalities: Item modalities to search; all by default.
            mode: "hybrid": where the query is words, a file whose name, folder, title, tags or passages hold them
                is lifted; "keyword": nothing else counts; "vector": only the meaning does.
            filter: Only items that match, as `mmsearch.core.filters.parser` reads it or as a tree of
                `mmsearch.core.filters.ast`.
            dedup: Show near-duplicates (`mmsearch.search.similarity`) as one hit, the others in its `duplicates`; by
                default as the setting `dedup` says.
            moments: Say in each hit's `moments` all stretches and passages that match, not just the best.

        Raises: LibraryNotFound, LibraryEmpty, InvalidInput, NoSharedSpace, MediaError for an unreadable query file.
        """
        chosen, dedup_on = self._resolved(modalities, filter, dedup)
        options = pipeline.SearchOptions(k, offset, modalities, mode, chosen, dedup_on, moments)
        found = pipeline.search(query, options, self._context)
        if mode != "keyword":
            self._context.repair()
        return found

    def search_many(
        self,
        queries: Sequence[QueryLike],
        k: int = 10,
        *,
        offset: int = 0,
        modalities: Collection[Modality] | None = None,
        mode: search_keywords.Mode = "hybrid",
        filter: str | Filter | None = None,
        dedup: bool | None = None,
        moments: bool = False,
    ) -> list[list[Hit]]:
        """For each query what `search` finds for it, in the same order.

        Media and words of 64 queries at a time go through their encoders together, which is quicker than a loop, and
        are answered from one state of the library.

        Args:
            queries: As `embed` takes them.
            k, offset, modalities, mode, filter, dedup, moments: As `search` takes them, for every query.

        Raises: as `search`, for the first query that can't be asked.
        """
        chosen, dedup_on = self._resolved(modalities, filter, dedup)
        options = pipeline.SearchOptions(k, offset, modalities, mode, chosen, dedup_on, moments)
        found = batch.search_many(queries, options, self._context)
        if mode != "keyword":
            self._context.repair()
        return found

    def embed(self, given: QueryLike | Sequence[QueryLike]) -> Vectors:
        """Vectors of queries in the space that the library searches: float32 of length 1, (dim,) of one query, (n, dim)
        of a list of n. The dot product of two is their cosine.

        Args:
            given: Words, the path of a medium, a `Query`, a PIL image, or a sound (samples, rate); or several of them.

        Raises: LibraryNotFound, LibraryEmpty, InvalidInput, NoSharedSpace, MediaError for an unreadable file.
        """
        return batch.embed(given, self._context)

    def duplicates(
        self,
        threshold: float | None = None,
        *,
        kinds: Collection[str] | None = None,
        modalities: Collection[Modality] | None = None,
        filter: str | Filter | None = None,
    ) -> list[duplicates.DuplicateGroup]:
        """Copies, other versions and what resembles, those that take most space first. Deletes nothing.

        A cosine proposes two files; only what their pixels, spectra or words prove (`media.sameness`) is told. What
        an older release took in without that evidence gets it now, where its file is there.

        Args:
            threshold: Cosine in (0, 1] from which two pictures, windows or passages are compared; by default what the
                setting `similarity` says of each kind, and whatever is alike by its evidence.
            kinds: Of `mmsearch.media.sameness.proof.KINDS`, all by default.
            filter, modalities: Only such items, as in `search`.

        Raises: InvalidInput for a senseless threshold or kind, LibraryEmpty.
        """
        registry.check_modalities(modalities)
        thresholds = duplicates.thresholds(threshold, self.settings.similar_segments)
        wanted = duplicates.Wanted(
            thresholds, duplicates.checked_kinds(kinds), threshold is None, modalities, filter_of(filter)
        )
        self._require_items()
        context = self._context
        return context.of_one_space(
            lambda _, record: duplicates.find_duplicates(
                context.catalog(), context.indexes(record), record, wanted, witnesses.MediaFiles(context)
            )
        )

    def interpret(self, value: str | Path) -> Query:
        """The query that a word in a shell stands for: the file of that path if it is a media file, else the words.

        Args:
            value: A str may be either; a path is the medium in that file, and never words.

        Raises: InvalidInput if there is no such file, MediaError if it is no medium.
        """
        return search_query.interpret_query(value, self._context.query_decoding)

    def load_encoders(self) -> None:
        """Load what queries of every kind need, and start their decode worker: no later search waits for it.

        Raises: LibraryNotFound, LibraryEmpty, WeightsError.
        """
        search_query.load_encoders(self._context)

    def evaluate(
        self,
        pairs: str | os.PathLike[str],
        *,
        directions: Collection[str] | None = None,
        k: Sequence[int] = (1, 5, 10),
        plot: str | os.PathLike[str] | None = None,
        by: evaluation.RankedBy = "confidence",
    ) -> evaluation.Evaluation:
        """Measure search by questions whose right answers are known. Changes no setting, learns nothing.

        Args:
            pairs: A TSV file with the header query<TAB>relevant (see `mmsearch.evaluate.pairs`).
            directions: Such as "text-image"; all that the pairs have by default.
            k: Counts of first places to measure.
            plot: Draw recall@k into this file.
            by: Rank as a search shows results ("confidence"), or by the vectors alone ("cosine").

        Raises: InvalidInput if nothing can be used, LibraryEmpty.
        """
        if plot is not None:
            evaluation.plot.require(Path(plot))
        judged = evaluation.pairs.read_pairs(Path(pairs))
        self._require_items()
        found = evaluation.evaluate(judged, self._context, directions=directions, k=k, by=by)
        if plot is not None:
            evaluation.plot.draw_evaluation(found, Path(plot))
        return found

    def _resolved(
        self, modalities: Collection[Modality] | None, filter: str | Filter | None, dedup: bool | None
    ) -> tuple[Filter | None, bool]:
        """The filter as a tree, and whether near-duplicates are folded. Raises: InvalidInput, LibraryEmpty."""
        registry.check_modalities(modalities)
        chosen = filter_of(filter)
        self._require_items()
        return chosen, self.settings.dedup if dedup is None else dedup

    def _require_items(self) -> None:
        catalog = self._context.catalog()
        self._begun = self._begun or catalog.read(current_commit).generation > 0
        if not self._begun:
            name = self._context.store.name
            raise LibraryEmpty(f"the library at {name} is empty", hint="fill it: mmsearch ingest FOLDER")

    def explain(
        self, query: QueryLike, hit: Hit, *, overlay: str | os.PathLike[str] | None = None
    ) -> explanations.Explanation:
        """Why a hit was found: concepts, sentences, regions or seconds that count, and the share of each query part.

        It decodes the file once more, in a process of its own.

        Args:
            query: The query of the search.
            overlay: Write the picture with its heat map into this PNG file; for other hits nothing is written.

        Raises: MediaError if the file cannot be read any more, InvalidInput if it has changed since.
        """
        # Nothing else needs Pillow in this process.
        from mmsearch.search import explain

        return explain.explain(query, hit, self._context, None if overlay is None else Path(overlay))

    def stills(self, hits: Sequence[Hit]) -> list[Prepared | None]:
        """What can be shown of hits in a few square centimetres. Each file is decoded once more, in another process.

        Returns:
            For each hit, in order: a picture, or the frame of a video at its moment, uint8 (height, width, 3); how
            loud a sound is along its moment, float32 (64,) in [0, 1]; None for a text or a file that can't be read.
        """
        from mmsearch.search import stills

        return stills.stills_of(hits, self._context)

    def label(
        self,
        names: Sequence[str] = (),
        *,
        model: str | None = None,
        filter: str | Filter | None = None,
        modalities: Collection[Modality] | None = None,
        save: bool = False,
        min_confidence: float | None = None,
    ) -> list[Label]:
        """Name each item with the one of some names that fits best, or none; by path. Writes nothing without `save`.

        Args:
            names: Two or more, such as ["cat", "dog", "car"].
            model: Use this classifier of `train.labels` instead: its names, and its confidence.
            filter, modalities: Only such items, as in `search`.
            save: Keep the labels as tags with their confidence, for filters and keyword search. They replace earlier
                labels of these items by the same names, and never a person's tag.
            min_confidence: In [0, 1]; below it no name fits. By default 1 - `false_accepts`, and 0 for a classifier.

        Raises: InvalidInput for invalid names or an unknown classifier, LibraryEmpty, LibraryLocked.
        """
        options = labelling.LabelOptions(names, model, filter_of(filter), modalities, min_confidence)
        registry.check_modalities(modalities)
        self._require_items()
        return labelling.label_items(options, self._context, save=save)

    @property
    def train(self) -> LibraryTraining:
        """Training on your own pairs and examples; loads torch."""
        from mmsearch.training.training import LibraryTraining

        return LibraryTraining(self._context)

    @property
    def model(self) -> switch.LibraryModels:
        """The models of the library: add another, and switch to it."""
        return switch.LibraryModels(self._context)

    @property
    def index(self) -> indexes.LibraryIndex:
        """The indexes of the library: show, tune, build and verify them."""
        return indexes.LibraryIndex(self._context)


@checked_arguments
def open_library(
    path: str | os.PathLike[str] | None = None,
    *,
    only: str | Filter | None = None,
    encrypt: str | None = None,
    passphrase: str | None = None,
    **settings: Unpack[SettingsArguments],
) -> Library:
    """Open the library at a folder or at an address (postgresql://USER@HOST/DATABASE?schema=NAME), or the default one,
    with settings that beat those of any file.

    With `only`, a filter, it is as if the library held nothing but the items that match (`Library.only`).
    With `encrypt`, a new library is encrypted: "keyring", "passphrase" or "file:PATH" says where its key is. With
    `passphrase` one is opened, or made, whose key that protects.
    A library of another space than the argument `space` can be searched, but not ingested into (SpaceChanged).

    >>> with mmsearch.open("photos.mmsearch") as library:  # doctest: +SKIP
    ...     library.ingest("~/Pictures")
    ...     hits = library.search("a dog on a beach", k=5)
    """
    folder = default_library(path)
    if passphrase is not None:
        key_stores.offer(passphrase)
    if encrypt is not None:
        vault.begin_encrypted(folder, encrypt)
    found = config.warn_of_ignored(config.read_configuration(folder, **settings))
    opened = Library(folder, found.settings, settings.get("space"), found.named)
    return opened if only is None else opened._only(only, owning=True)
