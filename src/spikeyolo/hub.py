"""Weights on the Hugging Face Hub: fetched by their address, and sent there. Safetensors and text alone, no pickles."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from .errors import CheckpointError, ConfigError, WriteError, one_line, quote
from .optional import optional_module

PREFIX = "hf://"
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
"""What a repository holds."""


@dataclass(frozen=True)
class Address:
    """Of weights on the Hub.

    Attributes:
        repo: owner/name.
        revision: a branch, a tag or a commit; None: the newest.
    """

    repo: str
    revision: str | None = None

    @classmethod
    def of(cls, text: str) -> Address:
        """Read `hf://owner/name[@revision]`, or the same without `hf://`.

        Raises:
            ConfigError: it is none.
        """
        part = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}"
        found = re.fullmatch(rf"({part}/{part})(?:@([\w][\w./-]{{0,127}}))?", text.removeprefix(PREFIX))
        if found is None or ".." in text:
            raise ConfigError(f"{quote(text)}: expected {PREFIX}owner/name, or {PREFIX}owner/name@revision")
        return cls(found[1], found[2])

    def __str__(self) -> str:
        return f"{PREFIX}{self.repo}" + (f"@{self.revision}" if self.revision else "")


def is_address(weights: Any) -> TypeGuard[str]:
    """Whether weights are named by where they are on the Hub."""
    return isinstance(weights, str) and weights.startswith(PREFIX)


def fetch(address: str) -> Path:
    """Return the file of the weights at an address, from the Hub or, without a network, from its cache.

    The file is compared with the checksum that the Hub names; nothing in it is run.

    Raises:
        ConfigError: not an address.
        CheckpointError: it is not there, may not be read, the network fails, or the file is not what the Hub says.
        MissingPackage: the extra `hub` is not installed.
    """
    found = Address.of(address)
    hub: Any = optional_module("huggingface_hub", "hub")
    with _one_line(f"{found}", CheckpointError):
        file = Path(hub.hf_hub_download(found.repo, WEIGHTS, revision=found.revision, library_name="spikeyolo"))
    # The Hub's cache calls a large file by its SHA-256, and links to it.
    expected = file.resolve().name
    if re.fullmatch(r"[0-9a-f]{64}", expected):
        digest = _sha256(file)
        if digest != expected:
            file.resolve().unlink(missing_ok=True)
            raise CheckpointError(f"{found}: {WEIGHTS} came with SHA-256 {digest}, the Hub says {expected}; try again")
    return file


def send(address: str, files: Mapping[str, bytes | os.PathLike[str]], private: bool = False) -> str:
    """Send files to the Hub as one commit, into a repository that is made unless it is there; return its page.

    Needs a token: `hf auth login`, or the variable HF_TOKEN.

    Args:
        address: owner/name, with or without `hf://`; with @branch: a branch that is there.
        files: content, or a file here, by the name there.
        private: of a repository that is made.

    Raises:
        ConfigError: not an address.
        WriteError: no token, not allowed, or the network fails.
        MissingPackage: the extra `hub` is not installed.
    """
    to = Address.of(address)
    hub: Any = optional_module("huggingface_hub", "hub")
    with _one_line(f"{to}", WriteError):
        api = hub.HfApi(library_name="spikeyolo")
        page = api.create_repo(to.repo, private=private, exist_ok=True)
        content = {name: one if isinstance(one, bytes) else os.fspath(one) for name, one in files.items()}
        operations = [hub.CommitOperationAdd(name, one) for name, one in content.items()]
        api.create_commit(to.repo, operations, commit_message="Weights of spikeyolo", revision=to.revision)
    return str(page)


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def _one_line(what: str, kind: type[CheckpointError] | type[WriteError]) -> Iterator[None]:
    """Turn what the Hub's library raises into one line that says what to do."""
    errors: Any = optional_module("huggingface_hub.errors", "hub")
    # Each is a case of the next ones, so the first that fits is meant.
    meanings = {
        errors.GatedRepoError: "its owner has to let you read it: ask on its page, then `hf auth login`",
        errors.RepositoryNotFoundError: "no such repository, or it is private: look at the name, or `hf auth login`",
        errors.RevisionNotFoundError: "the repository has no such revision",
        errors.RemoteEntryNotFoundError: f"the repository holds no {WEIGHTS}, so these are not weights of spikeyolo",
        errors.LocalEntryNotFoundError: "the Hub cannot be reached, and nothing of it is in the cache here",
        errors.OfflineModeIsEnabled: "HF_HUB_OFFLINE is set, and it is not in the cache here",
        errors.LocalTokenNotFoundError: "sending needs a token: `hf auth login`, or the variable HF_TOKEN",
    }
    try:
        yield
    except Exception as error:  # of its own classes, of the HTTP library's below, and of the system
        for known, meaning in meanings.items():
            if isinstance(error, known):
                raise kind(f"{what}: {meaning}") from error
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403):
            raise kind(
                f"{what}: the Hub does not allow it ({status}); `hf auth login` with a token that may"
            ) from error
        raise kind(f"{what}: the Hub could not be used ({one_line(error) or type(error).__name__})") from error
