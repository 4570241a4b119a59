"""The command `tilebound`, also as `python -m tilebound`."""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Run the command. Ctrl-C while it is still being imported just ends it."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, _leave)
    from .cli import main as command

    try:
        command()
    except KeyboardInterrupt:
        _leave()


def _leave(*_: object) -> None:
    os.write(2, b"interrupted before there was an answer: no file is written\n")
    os._exit(130)


if __name__ == "__main__":
    main()
