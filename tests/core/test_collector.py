"""The garbage collector waits while a command loads, and nowhere else."""

import gc

from mmsearch.core.collector import begin_loading, end_loading


def test_nothing_changes_in_a_program_that_did_not_begin_to_load() -> None:
    usual, frozen = gc.get_threshold(), gc.get_freeze_count()
    end_loading()
    assert (gc.get_threshold(), gc.get_freeze_count()) == (usual, frozen)


def test_what_was_loaded_is_looked_at_no_more_and_collections_are_as_usual() -> None:
    usual = gc.get_threshold()
    begin_loading()
    assert gc.get_threshold() == (50_000, *usual[1:])
    try:
        end_loading()
        assert gc.get_threshold() == usual
        assert gc.get_freeze_count() > 1000
    finally:
        gc.unfreeze()
