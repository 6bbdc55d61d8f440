"""The program: `spikeyolo`, or `python -m spikeyolo`."""

import signal
import sys


def main() -> int:
    """Run the command line; a Ctrl-C while it is still being imported is no traceback either."""
    try:
        from .cli.main import main

        return main()
    except KeyboardInterrupt:
        sys.stderr.write("spikeyolo: interrupted\n")
        return 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to be said


if __name__ == "__main__":
    sys.exit(main())
