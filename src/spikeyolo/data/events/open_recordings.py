"""The recordings that one process has open at a time, within a bound of files and of memory."""

from __future__ import annotations

import warnings
from collections import OrderedDict

from .columns import EventColumns
from .frame_sources import OpenRecording

MAX_FILES = 128  # processes are often allowed 1024
MAX_BYTES = 512 * 10**6  # of events decoded into memory; files that are read in parts count nothing


class OpenRecordings:
    """Opens recordings of an index as they are asked for and closes those that were not used for longest.

    One that is larger than the bound is open alone. Each process, and so each worker of a loader, has its own.

    Args:
        index: the recordings.
    """

    def __init__(self, index: EventColumns) -> None:
        self._index = index
        self._open: OrderedDict[int, OpenRecording] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def decoded_bytes(self) -> int:
        """Memory that the open recordings take."""
        return sum(int(self._index.decoded_bytes[number]) for number in self._open)

    def __getitem__(self, number: int) -> OpenRecording:
        if number not in self._open:
            index = self._index
            room = MAX_BYTES - int(index.decoded_bytes[number])
            while self._open and (len(self._open) >= MAX_FILES or self.decoded_bytes > max(room, 0)):
                self._open.popitem(last=False)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # told when the index was read
                self._open[number] = index.source.open(index.recordings[number], index.sensor_size_hw)
        self._open.move_to_end(number)
        return self._open[number]
