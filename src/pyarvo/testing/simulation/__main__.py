"""`python -m pyarvo.testing.simulation --seed N`: simulate."""

from __future__ import annotations

import sys

from pyarvo.testing.simulation.run import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
