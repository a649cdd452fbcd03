"""The command line: a skin without logic, made from the options' dataclasses. Importing it imports no command."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line and leave with its exit code: 0, 2 for what a user can mend, 130 for Ctrl-C."""
    import sys

    from celpaint.cli.app import run

    sys.exit(run(sys.argv[1:]))
