"""A program of its own: decodes one file with faery and writes the events to standard output.

`faery_file` starts it for formats whose decoder does not check what it reads: a wrong byte can end the process, or
take all memory, but this one alone. It imports nothing of this package, whose start would cost more than the decoding.

    PATH WIDTH HEIGHT BYTES: the file, the size of the sensor where the file names none, and the memory allowed.
"""

import sys
from importlib import import_module


def main(path: str, width: str, height: str, memory: str) -> None:
    """Write a line with columns and rows of the sensor, then the events as `faery.EVENTS_DTYPE`."""
    faery = import_module("faery")
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        pass
    else:
        resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    stream = faery.events_stream_from_file(path, dimensions_fallback=(int(width), int(height)))
    columns, rows = stream.dimensions()
    sys.stdout.buffer.write(f"{columns} {rows}\n".encode())
    for events in stream:
        sys.stdout.buffer.write(events.tobytes())


if __name__ == "child":
    main(*sys.argv[1:])
