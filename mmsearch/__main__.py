"""`python -m mmsearch`, for where the script is not on the PATH."""

from mmsearch.cli import main

if __name__ == "__main__":
    main()
