"""What the system tells of the machine."""

import os
from contextlib import suppress


def memory_bytes() -> int:
    """Of the machine, or of the container that this is; 0 where the system doesn't say."""
    try:
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return 0
    with suppress(OSError, ValueError), open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
        return min(max(machine, 0), int(file.read()))
    return max(machine, 0)
