"""Pictures with boxes: describing, scanning, augmenting and batching them."""

from .augmentation import Augmentation
from .dataset import ImageDataset, Sample, collate
from .description import Description, Split, read_description
from .index import Index
from .loader import Loader
from .report import Finding, Report
from .sampler import EpochBatchSampler
from .scanning import load_index, scan
from .sheet import batch_sheet, index_sheet

__all__ = [
    "Augmentation",
    "Description",
    "EpochBatchSampler",
    "Finding",
    "ImageDataset",
    "Index",
    "Loader",
    "Report",
    "Sample",
    "Split",
    "batch_sheet",
    "collate",
    "index_sheet",
    "load_index",
    "read_description",
    "scan",
]
