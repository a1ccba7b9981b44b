"""``python -m gcnface`` and the command ``gcnface``, silent when Ctrl-C comes before it has begun or after its end."""

import os
import signal
import sys
from types import FrameType
from typing import Any


def _quit(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)


_CATCHES = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # a shell's background jobs ignore it
if _CATCHES:
    signal.signal(signal.SIGINT, _quit)


def main() -> Any:
    """Run the command; what the interpreter is to exit with."""
    from gcnface import cli

    if not _CATCHES:
        return cli.main()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return cli.main()
    except SystemExit as leaving:
        return leaving.code
    finally:
        signal.signal(signal.SIGINT, _quit)


if __name__ == "__main__":
    sys.exit(main())
