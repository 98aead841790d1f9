"""`python -m mmsearch.training.starter`: train the starter space's captions.safetensors, see `recipe`."""

import sys

from mmsearch.training.starter.recipe import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
