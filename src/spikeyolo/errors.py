"""The errors users see: each says what is wrong, where, and how to mend it, in one line."""


class SpikeYOLOError(Exception):
    """Base of every error that bad input of a user can cause; the command line prints its text and no traceback."""


class ConfigError(SpikeYOLOError, ValueError):
    """A setting that does not exist, or a value outside its range."""


class ShapeError(SpikeYOLOError, ValueError):
    """A tensor whose shape, axes or type are not those that the docstring asks for."""


class CheckpointError(SpikeYOLOError):
    """A file of weights that cannot be read, is not what it should be, or does not fit the network."""


class DataError(SpikeYOLOError):
    """An image, label, recording or data set description that cannot be used."""


class WriteError(SpikeYOLOError):
    """A file or folder that cannot be written: no such folder, no permission, a full disk; the old one is unchanged."""


class TrainingError(SpikeYOLOError):
    """A training that cannot go on, such as one whose loss is not finite."""


class VerificationError(SpikeYOLOError):
    """A network that claims to be driven by spikes alone, and is not."""


class MissingPackage(SpikeYOLOError):  # noqa: N818 - what is missing says enough
    """A package that is needed here and not installed; the text names the extra that brings it."""
