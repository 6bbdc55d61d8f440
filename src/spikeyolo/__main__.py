"""`python -m spikeyolo` is the `spikeyolo` program."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
