"""What everything stands on: names of parts, settings, paths, the version."""

import logging

# What an application does with our messages is its own affair: nothing is printed unasked, nothing set up for it. Every
# room that logs stands on this one; `import mmsearch` itself is to load next to nothing.
logging.getLogger("mmsearch").addHandler(logging.NullHandler())
