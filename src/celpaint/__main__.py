"""``python -m celpaint``."""

from celpaint.cli import main

if __name__ == "__main__":
    main()
