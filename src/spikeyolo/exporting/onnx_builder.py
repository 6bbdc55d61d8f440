"""Writing an ONNX graph node by node."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, count
from typing import Any

import numpy as np

from ..optional import optional_module

OPSET = 18
"""Which TensorRT 10, OpenVINO 2025 and ONNX Runtime 1.20 take."""

IR_VERSION = 9


class Builder:
    """Collects nodes and constants; values are known by their names.

    Constants that are equal are kept once.
    """

    def __init__(self) -> None:
        self.onnx = optional_module("onnx", "export")
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._taken: set[str] = set()

    def _free(self, name: str) -> str:
        """The name, or with a number if it is taken."""
        found = next(one for one in chain([name], (f"{name}_{i}" for i in count(1))) if one not in self._taken)
        self._taken.add(found)
        return found

    def constant(self, value: Any, dtype: Any = None, name: str = "constant") -> str:
        """Return the name of an array."""
        array = np.ascontiguousarray(value, dtype=dtype)
        array = array.reshape(np.shape(value))  # ascontiguousarray makes a row of a number
        key = str(array.dtype), array.shape, array.tobytes()
        if key not in self._constants:
            self._constants[key] = self._free(name)
            self.initializers.append(self.onnx.numpy_helper.from_array(array, self._constants[key]))
        return self._constants[key]

    def integers(self, *values: int) -> str:
        """Return the name of a list of integers: axes, sizes, a shape."""
        return self.constant(list(values), np.int64)

    def op(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Add a node with one output and return the name of that."""
        return self.ops(kind, *inputs, number=1, name=name, **attributes)[0]

    def ops(self, kind: str, *inputs: str, number: int, name: str | None = None, **attributes: Any) -> list[str]:
        """Add a node with several outputs."""
        outputs = [self._free(name or kind.lower()) for _ in range(number)]
        made = self.onnx.helper.make_node(kind, list(inputs), outputs, name=f"{outputs[0]}/{kind}", **attributes)
        self.nodes.append(made)
        return outputs

    def cast(self, value: str, dtype: Any) -> str:
        """Return a value as another type."""
        return self.op("Cast", value, to=self.element(dtype))

    def element(self, dtype: Any) -> int:
        """Return ONNX's number of a type of numpy's."""
        found: int = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return found

    def input(self, name: str, dtype: Any, shape: Sequence[int | str]) -> str:
        """Declare an input."""
        self.inputs.append(self.onnx.helper.make_tensor_value_info(name, self.element(dtype), list(shape)))
        self._free(name)
        return name

    def output(self, name: str, value: str, dtype: Any, shape: Sequence[int | str | None]) -> None:
        """Declare an output under a name of its own."""
        made = self.onnx.helper.make_node("Identity", [value], [name], name=f"{name}/Identity")
        self.nodes.append(made)
        self.outputs.append(self.onnx.helper.make_tensor_value_info(name, self.element(dtype), list(shape)))

    def model(self, name: str, metadata: dict[str, str], version: str, domains: Sequence[tuple[str, int]] = ()) -> Any:
        """Return the model; `domains` are those of operators beyond ONNX's own, with their versions."""
        helper = self.onnx.helper
        graph = helper.make_graph(self.nodes, name, self.inputs, self.outputs, self.initializers)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid(*domain) for domain in (("", OPSET), *domains)],
            ir_version=IR_VERSION,
            producer_name="spikeyolo",
            producer_version=version,
        )
        helper.set_model_props(model, metadata)
        return model
