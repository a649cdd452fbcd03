"""The commands, each loaded when it is called, and what their endings mean to the shell."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from celpaint import __version__
from celpaint.errors import CelpaintError

__all__ = ["app", "run"]

_HELP = """\
Colour a whole animation shot from one painted frame.

Every command explains itself: celpaint COMMAND --help
"""

_EXAMPLES = """\
Examples:

celpaint colorize cut05/ --reference key.png --out cut05_colour/

celpaint colorize cut05.mov --reference key.png@24 --out cut05.mp4
"""

app = App(
    name="celpaint",
    help=_HELP,
    help_epilogue=_EXAMPLES,
    help_format="plaintext",
    version=__version__,
    default_parameter=Parameter(negative=()),
)
app.register_install_completion_command(help="Let the shell complete commands and options.")
for _name, _where, _help in (
    ("colorize", "colorize:colorize_command", "Colour line art after a painted reference."),
    ("weights", "weights:app", "Convert, list, inspect and verify weights."),
    ("evaluate", "measure:evaluate_command", "Measure results against the originals."),
    ("benchmark", "measure:benchmark_command", "Run methods and baselines over clips and settings."),
    ("data", "data:app", "Make training films, or cut up your own."),
    ("train", "train:app", "Train a network, or export what was trained."),
    ("doctor", "doctor:doctor_command", "Show what a bug report needs: versions, machine, devices, weights."),
):
    app.command(f"celpaint.cli.{_where}", name=_name, help=_help)


@app.meta.default
def _launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    debug: Annotated[bool, Parameter(help="show the traceback of an error")] = False,
) -> Any:
    try:
        return app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except Exception:
        if debug:
            traceback.print_exc()
        raise


def run(tokens: Sequence[str]) -> int:
    """Run one command line and return its exit code.

    What a user can mend ends in one sentence on standard error, also as a JSON object on standard output where
    ``--json`` asks for it. What only a programmer can mend ends in a traceback and exit code 1.
    """
    app.meta.suppress_keyboard_interrupt = app.suppress_keyboard_interrupt = False
    try:
        app.meta(list(tokens), exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        error.verbose = False
        return _complain(str(error).replace("\n", " "), 2, tokens)
    except CelpaintError as error:
        return _complain(str(error), error.exit_code, tokens)
    except KeyboardInterrupt as stop:
        return _complain(str(stop) or "stopped", 130, tokens)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`); Python would complain again when it closes standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:
        if "--debug" not in tokens:
            traceback.print_exc()
        return _complain(
            "this is a fault of celpaint; please report it with the output of `celpaint doctor`", 1, tokens
        )
    return 0


def _complain(sentence: str, code: int, tokens: Sequence[str]) -> int:
    print(f"celpaint: {sentence}", file=sys.stderr)
    if "--json" in tokens:
        print(json.dumps({"event": "error", "message": sentence, "exit_code": code}), flush=True)
    return code
