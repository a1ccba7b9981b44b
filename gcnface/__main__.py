"""``python -m gcnface`` is the command ``gcnface``."""

import sys

from gcnface.cli import main

sys.exit(main())
