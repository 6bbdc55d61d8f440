"""The `spikeyolo` program: finds the command, reads its options, and turns errors of the user into one line.

Each command is a function in a file of its own; its parameters are the options, its docstring their help.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import ConfigError, SpikeYOLOError
from ..interruption import StopRequest, interrupt, on_signals, signals_restored
from ..optional import EXTRAS, missing_package
from ..strict import nearest
from ..terminal import complain, let_all_characters_through, line_of, say
from ..version import __version__
from .arguments import REQUIRED, UsageError, arguments_of, options_of, read_file, read_words, to_yaml

COMMANDS = {
    "demo": "the whole story on generated images, or with --events on recordings, in minutes",
    "data check": "look at every image and label of a data set, and say what is wrong",
    "data get": "download a public data set and unpack it, resumable and checked",
    "data list": "public data sets that can be named in place of a data.yaml, and where each is available",
    "train": "train a detector on labelled images or recordings, or resume a training",
    "val": "measure the average precision and the speed of a model",
    "predict": "find objects on images, videos, cameras and recordings of event cameras",
    "energy": "count spikes and operations on images, and what they cost, beside the same network as an ANN",
    "sweep": "average precision against energy, over numbers of timesteps and largest spike counts",
    "events info": "sensor, duration, rate and labels of recordings of event cameras",
    "events view": "draw windows of a recording, with the boxes labelled in them",
    "events prepare": "write an event data set in RVT's layout; training here does not need it",
    "export": "write a network for ONNX Runtime, OpenVINO, TensorRT, a browser or a chip",
    "benchmark": "every form of a network and every runtime side by side: size, AP, latency, energy",
    "models": "weights that come with the package, and where the authors' checkpoints are had",
    "convert": "turn a published checkpoint (.pt) into a safetensors file",
    "hub push": "send weights to the Hugging Face Hub, with a measured card",
    "env": "versions of everything, for a report of a fault",
    "completion": "what a shell needs to complete commands, options and files",
}
"""Each command, with its line in the help: `events view` is the function `view` in the module `events_view`."""

POSITIONAL = {"completion", "convert", "data check", "data get", "events info", "events view", "events prepare"}
"""Commands whose required parameters are given by position."""

HELP = {"-h", "--help"}
SILENT = {"OPENCV_LOG_LEVEL": "OFF", "OPENCV_FFMPEG_LOGLEVEL": "-8"}  # what is wrong is said in words of ours
USAGE_ERROR, BROKEN_PIPE = 2, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0, 1 for bad input, 2 for a wrong command line, 130 when interrupted
    (143 by SIGTERM, 129 by SIGHUP), 141 when the output is closed.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    _fill_streams()
    let_all_characters_through(sys.stdout, sys.stderr)
    for name, value in SILENT.items():
        os.environ.setdefault(name, value)
    with signals_restored(), _warnings_in_a_line(debug):
        on_signals(StopRequest() if _was_started_by_another() else interrupt)
        try:
            _run(words)
            sys.stdout.flush()
            return 0
        except BaseException as error:
            on_signals(StopRequest())  # the line that says how it ended is not interrupted
            if debug:
                with suppress(OSError):
                    traceback.print_exc()
            code, line = _ending(error)
            if code is None:
                raise
            if line:
                _say(line)
            return code


def _ending(error: BaseException) -> tuple[int | None, str]:
    """The exit code and the line of an exception; None for one that is a mistake of this program."""
    stop = _in_chain(error, KeyboardInterrupt)  # imports turn it into an ImportError of their own, sometimes
    if stop is not None:
        return getattr(stop, "exit_code", 130), str(stop) or "interrupted"
    package = (getattr(error, "name", None) or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and package in EXTRAS:
        return 1, str(missing_package(package))
    if isinstance(error, UsageError | SpikeYOLOError):
        return USAGE_ERROR if isinstance(error, UsageError) else 1, str(error)
    if _in_chain(error, BrokenPipeError) is not None:  # of which rich makes a SystemExit
        # Whoever read the output has seen enough, as in `| head`.
        _drop_output()
        return BROKEN_PIPE, ""
    if isinstance(error, OSError) and error.strerror:
        if error.filename is None:
            _drop_output()
        return 1, f"{error.filename or 'standard output'}: {error.strerror}"
    if isinstance(error, UnicodeEncodeError) and sys.getfilesystemencoding() != "utf-8":
        return 1, f"the locale has no {error.object[error.start : error.end]!r} for names of files; set LC_ALL=C.UTF-8"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return 1, "out of memory; a smaller --batch or --imgsz, or fewer --workers, need less"
    return None, ""


def _was_started_by_another() -> bool:
    """Whether this is one of the processes that Lightning starts to train together. The first one ends them.

    If they ended by a signal of their own, while the first one waits for them, Lightning would kill that.
    """
    return os.environ.get("LOCAL_RANK", "0") != "0" and "TORCHELASTIC_RUN_ID" not in os.environ


def _in_chain(error: BaseException | None, kind: type[BaseException]) -> BaseException | None:
    """The first exception of a kind among an exception and those that led to it."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error


def _say(line: str) -> None:
    with suppress(OSError):  # who closed this, too, is told by the exit code
        complain(f"spikeyolo: {line}")


def _fill_streams() -> None:
    """Open what was closed, as by `>&-`: the next file that is opened would become the output."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            while os.open(os.devnull, os.O_RDWR) < number:
                pass
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


def _drop_output() -> None:
    """Let nothing more be written, also at exit, to an output that takes nothing."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _warnings_in_a_line(debug: bool) -> Iterator[None]:
    """Warnings, and what is logged, as lines of this program."""
    format_of_others = warnings.formatwarning
    logger, handler = logging.getLogger("spikeyolo"), logging.StreamHandler()
    handler.format = lambda record: line_of(f"spikeyolo: warning: {record.getMessage()}")  # type: ignore[method-assign]
    if not debug:
        warnings.formatwarning = lambda message, *_: line_of(f"spikeyolo: warning: {message}") + "\n"
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        warnings.formatwarning = format_of_others


def _run(words: list[str]) -> None:
    """Print the help or the version, or run the command that the words begin with."""
    group = {name: text for name, text in COMMANDS.items() if words and name.startswith(f"{words[0]} ")}
    name = next((name for name in COMMANDS if words[: len(name.split())] == name.split()), None)
    if not words or words[0] in HELP:
        say(*_help(COMMANDS).splitlines())
    elif group and set(words[1:2]) <= HELP:
        say(*_help(group).splitlines())
    elif words[0] == "--version":
        say(f"spikeyolo {__version__}")
    elif name is None:
        typed = " ".join(word for word in words[:2] if not word.startswith("-")) if group else words[0]
        near = nearest(typed, [*COMMANDS, *(name.partition(" ")[2] for name in COMMANDS if " " in name)])
        meant = next((name for name in COMMANDS if near and near in (name, name.partition(" ")[2])), None)
        hint = f", did you mean {meant!r}?" if meant else ""
        raise UsageError(f"no such command {typed!r}{hint}; see spikeyolo --help")
    else:
        _run_command(name, words[len(name.split()) :])


def _run_command(name: str, words: list[str]) -> None:
    """Call the function of a command, or print its help or its options."""
    module = importlib.import_module(f".{name.replace(' ', '_')}", __package__)
    command: Callable[..., None] = getattr(module, name.split()[-1])
    options = options_of(command, positional=name in POSITIONAL)
    if HELP & set(words) or "--help-all" in words:
        from .help import command_help

        groups, everything = getattr(module, "GROUPS", None), "--help-all" in words
        say(*command_help(f"spikeyolo {name}", command, options, groups, everything).splitlines())
        return
    prints = {"--print-config", "--print_config"} & set(words)
    try:
        given = read_words(options, [word for word in words if word not in prints])
        values = dict(given)
        if config := values.pop("config", None):
            # A module may know files by name, as `train` knows recipes.
            values = read_file(options, getattr(module, "find_config", Path)(config)) | values
        missing = [o.flag for o in options.values() if o.default is REQUIRED and o.name not in values]
        if missing and not prints:
            raise UsageError(f"{' and '.join(missing)} missing")
    except (UsageError, ConfigError) as error:
        raise UsageError(f"{name}: {error}; see spikeyolo {name} --help") from error
    if prints:
        say(*to_yaml(options, values).splitlines())
    else:
        command(**arguments_of(command, values, given))


def run_script(command: Callable[..., object], words: Sequence[str]) -> int:
    """Call a function of a script with what a command line gives, as the commands are called; return the exit code."""
    options = options_of(command)
    if HELP & set(words):
        from .help import command_help

        say(*command_help(Path(sys.argv[0]).name, command, options, None, everything=True).splitlines())
        return 0
    try:
        given = read_words(options, words)
    except UsageError as error:
        complain(f"{Path(sys.argv[0]).name}: {error}")
        return USAGE_ERROR
    command(**arguments_of(command, given, given))
    return 0


def _help(commands: Mapping[str, str]) -> str:
    width = max(map(len, commands))
    lines = [f"  {name:<{width}}  {text}" for name, text in commands.items()]
    return "\n".join(
        [
            "usage: spikeyolo COMMAND [options]",
            "",
            "Object detection with spiking neural networks, from training to the chip.",
            "",
            *lines,
            "",
            "spikeyolo COMMAND --help lists the options of a command; --version prints the version;",
            "--debug shows the whole traceback of an error.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
