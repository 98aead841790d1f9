"""Answers that are of one state of the library from their beginning to their end."""

from collections.abc import Callable
from typing import TypeVar

from mmsearch.catalog import Snapshot, SpaceRecord
from mmsearch.catalog.commits import CommitState, Outdated, current_commit
from mmsearch.catalog.spaces import active_space
from mmsearch.context.resources import Resources
from mmsearch.errors import MmsearchError
from mmsearch.types import Space

TRIES = 5
"""Answers that are made in vain, because of a change in between, before commits are held up."""

T = TypeVar("T")


class ConsistentReads(Resources):
    """Makes an answer anew where the library changed meanwhile. Thread safety: as `Resources`."""

    _served: tuple[int, SpaceRecord | None] | None = None
    """Id of a commit, and the space that was active at it."""

    def let_go(self) -> None:
        """As `Resources.let_go`."""
        super().let_go()
        self._served = None

    def unmoved(self, state: Callable[[Snapshot], object], work: Callable[[SpaceRecord | None], T]) -> T:
        """An answer, of one state of the library from its beginning to its end; making it changes nothing.

        Where the state is another one in the end, the answer is made again: what was read first need not fit what was
        read last, and whoever switched the space may have forgotten the vectors that were being looked through.

        Args:
            state: What may not change meanwhile.
            work: Makes the answer, of the space that serves as it begins; None in an empty library.

        Raises: what `work` raises, unless the state changed meanwhile.
        """
        catalog = self.catalog()
        for _ in range(TRIES):
            with catalog.reading() as snapshot:
                before, serving = state(snapshot), active_space(snapshot)
            try:
                answer = work(serving)
            except MmsearchError:
                if catalog.read(state) == before:
                    raise
                continue
            if catalog.read(state) == before:
                return answer
        # Changes come faster than answers can be made: the next one waits for this answer.
        with catalog.exclusive():
            return work(catalog.read(active_space))

    def of_one_commit(self, work: Callable[[CommitState, SpaceRecord | None], T]) -> T:
        """As `unmoved`, an answer of one commit.

        Args:
            work: Makes the answer, and raises `Outdated` where what it reads is not of the commit it is given. What
                it reads of another one, without saying so, must be what no commit changes.
        """
        catalog = self.catalog()
        for _ in range(TRIES):
            with catalog.reading() as snapshot:
                before = current_commit(snapshot)
                serving = self._serving_at(snapshot, before)
            try:
                return work(before, serving)
            except Outdated:
                continue
            except MmsearchError:
                if catalog.read(current_commit) == before:
                    raise
        # Changes come faster than answers can be made: the next one waits for this answer.
        with catalog.exclusive():
            return work(catalog.read(current_commit), catalog.read(active_space))

    def _serving_at(self, snapshot: Snapshot, commit: CommitState) -> SpaceRecord | None:
        """The active space, which is another one only after a commit."""
        known = self._served
        if known is None or known[0] != commit.commit_id:
            known = self._served = commit.commit_id, active_space(snapshot)
        return known[1] if commit.commit_id else active_space(snapshot)

    def of_one_space(self, work: Callable[[Space, SpaceRecord], T]) -> T:
        """An answer made of the space that serves, and again if another one does in the end. Raises: as `embedding`."""
        return self.unmoved(active_space, lambda serving: work(*self.serving(serving)))

    def serving(self, record: SpaceRecord | None) -> tuple[Space, SpaceRecord]:
        """The space that an answer began with, though another one may be active by now. Raises: as `embedding`."""
        if record is not None and record == self._active:
            # Read by the answer itself a moment ago; and whether it still serves is asked in the end.
            return self.space_of(record), record
        space, active = self.embedding()
        return (space, active) if record in (None, active) else (self.space_of(record), record)
