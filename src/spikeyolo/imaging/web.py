"""Images by their address: downloaded into memory, with a limit of size and of time."""

from __future__ import annotations

import time
import urllib.request
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from ..errors import DataError, one_line
from ..reading import shown
from ..version import __version__

LARGEST = 10**8
"""Bytes of a file that is downloaded."""

SECONDS = 30.0
"""That a server may be silent, and twice that for the whole file."""

_PIECE = 2**16
_KEPT = "%/:=&?~#+!$,;'@()*[]"  # characters that an address may hold as they are


def is_address(text: str) -> bool:
    """Return whether a text is an address of the web and no path."""
    return text.lower().startswith(("http://", "https://"))


def name_in(address: str) -> str:
    """Return the last part of an address's path, as a person would write it."""
    return unquote(urlsplit(address).path).rpartition("/")[2]


def download(address: str) -> bytes:
    """Return what lies at an address; redirections are followed, to http and https alone.

    Raises:
        DataError: it cannot be had, takes too long, or is too large.
    """
    try:
        request = urllib.request.Request(plain(address), headers={"User-Agent": f"spikeyolo/{__version__}"})
        with opener().open(request, timeout=SECONDS) as answer:
            return _read(answer, time.monotonic() + 2 * SECONDS)
    except DataError as error:
        raise DataError(f"{shown(address)}: cannot be downloaded ({error})") from None
    except Exception as error:  # urllib raises its own, the system's, and those of http.client
        raise DataError(f"{shown(address)}: cannot be downloaded ({reason_of(error)})") from error


def reason_of(error: Exception) -> str:
    """Return in one line what went wrong between here and a server."""
    said = getattr(error, "reason", None) or error
    code = getattr(error, "code", None)
    if isinstance(error, HTTPError):
        error.close()  # it is the answer
    return one_line(f"{code} {said}" if code else said) or type(error).__name__


def _read(answer: object, until: float) -> bytes:
    pieces, size = [], 0
    while piece := answer.read(_PIECE):  # type: ignore[attr-defined]
        pieces.append(piece)
        size += len(piece)
        if size > LARGEST:
            raise DataError(f"more than {LARGEST / 1e6:g} MB")
        if time.monotonic() > until:
            raise DataError(f"not there after {2 * SECONDS:g} s")
    return b"".join(pieces)


def plain(address: str) -> str:
    """Return an address of ASCII alone, as servers take it."""
    parts = urlsplit(address)
    host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
    rest = (quote(part, safe=_KEPT) for part in (parts.path, parts.query))
    return urlunsplit((parts.scheme, host, *rest, ""))


def opener() -> urllib.request.OpenerDirector:
    """Return what opens http and https, and no files of this computer, wherever it is sent."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener
