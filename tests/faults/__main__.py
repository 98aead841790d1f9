"""The full sweep: `python -m tests.faults`."""

import os
import sys

from tests.faults import shim

if os.environ.get(shim.LOADED):
    from tests.faults.sweep import main

    sys.exit(main(sys.argv[1:]))
if why := shim.missing():
    sys.exit(why)
sys.exit(shim.relaunch(["-m", "tests.faults", *sys.argv[1:]]))
