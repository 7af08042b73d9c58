"""`python -m ltx2` is `ltx2`."""

import sys

from .cli import main

sys.exit(main())
