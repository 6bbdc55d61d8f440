"""Published checkpoints read, changed and written again, and archives like those that torch.save writes."""

from __future__ import annotations

import io
import pickle
import sys
import types
import zipfile

import pytest
import torch

from spikeyolo.interop.content import Node, StoredTensor
from spikeyolo.interop.unpickle import opened


def read_inert(path):
    """The content, its tensors read."""

    def read(value):
        if isinstance(value, StoredTensor):
            return value.read()
        if isinstance(value, Node):
            value.attributes = read(value.attributes)
        return type(value)((key, read(item)) for key, item in value.items()) if isinstance(value, dict) else value

    with opened(path) as content:
        return read(content)


def rewritten(source, target, change, drop=(), compression=zipfile.ZIP_STORED):
    """A copy of an archive with its pickle changed by a function of bytes."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for info in old.infolist():
            if info.filename.rpartition("/")[2] not in drop:
                content = old.read(info.filename)
                new.writestr(info.filename, change(content) if info.filename.endswith("data.pkl") else content)
    return target


def archive(target, content):
    """A torch.save-like archive around any pickle."""
    with zipfile.ZipFile(target, "w") as new:
        new.writestr("reference/data.pkl", content)
    return target


def saved_again(content, path):
    """Writes what `read_inert` read in the published format: its Nodes as objects of the classes they stand for."""
    modules, classes = {}, {}

    def restore(value):
        if isinstance(value, Node):
            if value.kind not in classes:
                module, _, name = value.kind.rpartition(".")
                classes[value.kind] = type(name, (), {"__module__": module})
                modules.setdefault(module, types.ModuleType(module)).__dict__[name] = classes[value.kind]
            made = classes[value.kind]()
            made.__dict__.update(restore(value.attributes))
            return made
        if isinstance(value, dict):
            return type(value)((key, restore(item)) for key, item in value.items())
        return value

    restored = restore(content)
    with pytest.MonkeyPatch.context() as patch:
        for name, module in modules.items():
            for end in range(1, name.count(".") + 1):  # a module is found through its packages
                package = name.rsplit(".", end)[0]
                if package not in sys.modules:
                    patch.setitem(sys.modules, package, types.ModuleType(package))
            patch.setitem(sys.modules, name, module)
        torch.save(restored, path)
    return path


def tensor_program(size, stride, offset=0, numel=4):
    """A pickle of one tensor over a storage of four numbers that lives on a GPU."""
    out = io.BytesIO()
    pickler = pickle._Pickler(out, protocol=2)  # the Python one: its pieces can be written by hand
    out.write(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(")
    out.write(b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x06\x00\x00\x00cuda:3")
    pickler.save(numel)
    out.write(b"tQ")
    for value in (offset, size, stride, False):
        pickler.save(value)
    out.write(b"ccollections\nOrderedDict\n)RtR.")
    return out.getvalue()
