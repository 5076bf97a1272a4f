"""`python -m pyarvo`: the same as the command `pyarvo`."""

from pyarvo.cli import main

if __name__ == "__main__":
    main()
