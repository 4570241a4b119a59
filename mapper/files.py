"""Files: read when they end, written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path

#: No specification and no result comes near this many bytes.
MOST_BYTES = 2 ** 30
#: Pipes that are there to be read: standard input, and what a shell puts in place of `<(command)`.
_PIPES = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")


def read_bytes(path: str | Path) -> bytes:
    """What a file holds. Raises OSError for one that cannot be read, may never end (a device, a named
    pipe), or is absurdly large."""
    with open(path, "rb", opener=_waitless) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) and not str(path).startswith(_PIPES):
            raise OSError(errno.EINVAL, "Not a regular file", str(path))
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return data


def _waitless(path: str, flags: int) -> int:
    """Open a file without waiting for the other end of a pipe; reads then wait as usual."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    return descriptor


def write_atomic(path: str | Path, text: str) -> None:
    """Write `text` to `path` in UTF-8, so that no reader ever sees half of it.

    The text goes to a temporary file beside `path`, which then replaces it; a link is followed,
    and a device or a pipe is simply written to. Folders that do not exist are made. Raises
    OSError, and leaves a former file as it was, when that fails.
    """
    path = Path(path).resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
        else:
            _replace(path, text)
    except OSError as error:        # which may name the temporary file, or none
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _replace(path: Path, text: str) -> None:
    """Write a temporary file and put it in place of `path`."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(temporary, _mode(path))
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _mode(path: Path) -> int:
    """Permissions of the file that stands there, else what a plain `open` would give."""
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
