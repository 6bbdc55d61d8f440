"""Counting operations and spikes, and what they cost in energy."""

from .cost import (
    ann_millijoule,
    by_formula,
    layer_millijoule,
    memory_millijoule,
    snn_millijoule,
    storage,
)
from .counting import LayerCount, Tally, count_layers, macs_of_forms, on_counts, operation_maps, tally
from .measure import Example, Measurement, measure
from .page import write_page
from .report import layer_table, summary_table, to_json, weighted_rate
from .technology import DEFAULT, Technology, find_technology, read_technologies

__all__ = [
    "DEFAULT",
    "Example",
    "LayerCount",
    "Measurement",
    "Tally",
    "Technology",
    "ann_millijoule",
    "by_formula",
    "count_layers",
    "find_technology",
    "layer_millijoule",
    "layer_table",
    "macs_of_forms",
    "measure",
    "memory_millijoule",
    "on_counts",
    "operation_maps",
    "read_technologies",
    "snn_millijoule",
    "storage",
    "summary_table",
    "tally",
    "to_json",
    "weighted_rate",
    "write_page",
]
