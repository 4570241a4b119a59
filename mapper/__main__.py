"""`python -m tilebound` is the command `tilebound`."""

from .cli import main

if __name__ == "__main__":
    main()
