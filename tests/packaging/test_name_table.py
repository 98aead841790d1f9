"""One concept, one name: the shipped table of names is what the code says."""

import pytest

from tests.packaging import name_table

SAME = ("dedup", "filter", "min_confidence", "modalities", "mode", "moments", "offset")
"""What a search can be asked, by one name in Python and in the shell."""


def test_the_shipped_table_is_made_from_the_code() -> None:
    shipped = name_table.DOCS.read_text("utf-8")
    assert shipped == name_table.table(), "write it anew: python -m tests.packaging.name_table"


@pytest.mark.parametrize("name", SAME)
def test_what_a_search_is_asked_has_one_name_in_python_and_in_the_shell(name: str) -> None:
    python, shell = name_table.in_python(), name_table.in_the_shell()
    assert name in python and name in shell


def test_a_setting_that_a_search_may_overrule_bears_the_name_of_its_argument() -> None:
    assert "`search`" in name_table.in_python()["dedup"] and "dedup" in name_table.in_the_shell()
