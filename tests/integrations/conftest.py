"""What needs packages that take seconds to load is not even collected unless it runs: each process of tests would."""

from pathlib import Path

import pytest

HEAVY = ("test_datasets.py", "test_retrievers.py")
"""Files whose tests are all marked `extras`."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """True for such a file, unless `-m extras` or the command line asks for it; None leaves it to pytest."""
    named = {Path(config.invocation_params.dir, one.partition("::")[0]).resolve() for one in config.args}
    asked = "extras" in config.option.markexpr or collection_path in named
    return True if collection_path.name in HEAVY and not asked else None
