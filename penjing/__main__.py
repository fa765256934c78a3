"""The command line: `penjing ...` or `python -m penjing ...`."""

import sys

from .compiler.cli import main

if __name__ == "__main__":
    sys.exit(main())
