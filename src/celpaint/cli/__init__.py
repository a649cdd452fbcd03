"""The command line, made from the options' dataclasses; it has no logic. Importing it imports no command."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line and leave with its exit code: 0, 1 for a fault, 2 for what a user can mend, 130 for Ctrl-C.

    A result in a file does not depend on whether anybody reads what is printed; see :mod:`celpaint.cli.streams`.
    """
    import sys

    from celpaint.cli.app import run
    from celpaint.cli.streams import settle_streams, unwritten

    settle_streams()
    tokens = sys.argv[1:]
    code = run(tokens)
    lost = unwritten()
    if lost and not code and not {"--out", "-o"} & {token.split("=")[0] for token in tokens}:
        print(f"celpaint: standard output can't be written: {lost}", file=sys.stderr)
        code = 1
    sys.exit(code)
