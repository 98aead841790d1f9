"""The suites of `mmsearch.testing` mark nothing, for their users' sake: what takes seconds here is marked here."""

import pytest

SLOW = frozenset(
    (
        "test_a_batch_gives_the_vectors_of_single_calls",
        "test_the_same_input_gives_the_same_vector",
        "test_more_segments_than_one_batch_are_encoded_in_order",
        "test_concurrent_threads_get_the_vectors_of_one_thread",
        "test_spec_and_prepare_import_no_torch",
        "test_a_search_sees_a_concurrent_change_whole_or_not_at_all",
        "test_any_sequence_of_changes_agrees_with_brute_force",
    )
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if getattr(item, "originalname", "") in SLOW and item.path.parent.name == "contracts":
            item.add_marker(pytest.mark.slow)
