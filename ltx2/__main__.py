"""`ltx2`, and `python -m ltx2`."""

import sys

from . import _process


def main() -> int:
    """Run the command line of this process; the exit code."""
    _process.begin()
    try:
        from .cli import main as work
    except ImportError as error:  # of the library, or of a package that is not installed
        _process.say(str(error).removeprefix("ltx2: "))
        return 70
    return _process.run(work)


if __name__ == "__main__":
    sys.exit(main())
