"""The commands, each imported when it is called, and their exit codes."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Any, Literal, get_args, get_origin

from cyclopts import App, CoercionError, CycloptsError, MissingArgumentError, Parameter

from celpaint import __version__
from celpaint.errors import CelpaintError
from celpaint.options import FPS_WANTED, alternatives

__all__ = ["app", "run"]

_HELP = """\
Color a whole animation shot from one painted frame.

Every command explains itself: celpaint COMMAND --help
"""

_EXAMPLES = """\
Examples:

celpaint colorize cut05/ --reference key.png --out cut05_color/

celpaint colorize "cut05/A_####.png" -r key1.png@1 -r key24.png@24 -o cut05.mov

celpaint colorize rough.mp4 -r key.png -o preview.mp4 --preview

celpaint colorize cels/ -r key.png -o painted/ --flat on
"""

_MEASURING = """\
Examples:

celpaint evaluate result/ ground_truth/ --lines lines/

celpaint evaluate clips.toml --protocol full --out report.md
"""

app = App(
    name="celpaint",
    help=_HELP,
    help_epilogue=_EXAMPLES,
    help_format="plaintext",
    version=__version__,
    default_parameter=Parameter(negative=()),
)
app.register_install_completion_command(help="Install shell completion of commands and options.")
app.command(
    "celpaint.cli.colorize:colorize_command",
    name="colorize",
    sort_key=0,
    help="Color line art from painted reference frames.",
    help_epilogue=_EXAMPLES,
)
app.command(
    "celpaint.cli.evaluate:evaluate_command",
    name="evaluate",
    sort_key=2,
    help="Measure results against the ground truth.",
    help_epilogue=_MEASURING,
)
app.command(
    "celpaint.cli.benchmark:app",
    name="benchmark",
    sort_key=3,
    help="Measure methods and baselines on clips, and write a report.",
)
app.command(
    "celpaint.cli.recolor:recolor_command",
    name="recolor",
    sort_key=1,
    help="Recolor a painted shot with another palette.",
)
app.command(
    "celpaint.cli.palette:app",
    name="palette",
    sort_key=1,
    help="Extract palettes from pictures, show and convert them.",
)
app.command("celpaint.cli.weights:app", name="weights", sort_key=1, help="List, inspect, verify or convert weights.")
app.command("celpaint.cli.data:app", name="data", sort_key=4, help="Prepare training clips.")
app.command("celpaint.cli.train:app", name="train", sort_key=5, help="Train a network, or export trained weights.")
app.command(
    "celpaint.cli.doctor:doctor_command",
    name="doctor",
    sort_key=6,
    help="Show versions, machine, devices and weights, for a bug report.",
    help_epilogue="",
)


_WANTED = {int: "a whole number", float: "a number", Fraction: FPS_WANTED}
"""What an argument that is no option of a dataclass may be."""


@app.meta.default
def _launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    debug: Annotated[bool, Parameter(help="show the traceback of an error", show_default=False)] = False,
) -> Any:
    try:
        return app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except Exception:
        if debug:
            traceback.print_exc()
        raise


def run(tokens: Sequence[str]) -> int:
    """Run one command line and return its exit code.

    An error that the user can fix prints one sentence on standard error, and a JSON object on standard output with
    ``--json``. A bug prints a traceback and returns exit code 1.
    """
    app.meta.suppress_keyboard_interrupt = app.suppress_keyboard_interrupt = False
    try:
        code = app.meta(list(tokens), exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _complain(_sentence(error), 2, tokens)
    except CelpaintError as error:
        return _complain(str(error), error.exit_code, tokens)
    except KeyboardInterrupt as stop:
        return _complain(str(stop) or "stopped", 130, tokens)
    except Exception:
        if "--debug" not in tokens:
            traceback.print_exc()
        sentence = "this is a bug in celpaint; please report it with the output of `celpaint doctor`"
        return _complain(sentence, 1, tokens)
    return code if isinstance(code, int) else 0


def _sentence(error: CycloptsError) -> str:
    """What is wrong with a command line, in one line."""
    error.verbose = False
    argument = error.argument
    if isinstance(error, MissingArgumentError) and argument is not None and not argument.tokens and not error.keyword:
        command = " ".join(["celpaint", *(error.command_chain or ())])
        wanted = f"; wanted {argument.parameter.help.rstrip('.')}" if argument.parameter.help else ""
        return f"{argument.name} is missing{wanted}. {command} --help shows examples."
    if isinstance(error.__cause__, CelpaintError):  # raised by what makes a value of the text
        return str(error.__cause__)
    if isinstance(error, CoercionError) and argument is not None and error.token is not None:
        choices = [choice for kind in (argument.hint, *get_args(argument.hint)) for choice in _choices(kind)]
        wanted = alternatives(choices) if choices else _WANTED.get(error.target_type or str, "another value")
        return f"{argument.name} is {error.token.value!r}; wanted {wanted}."
    return " ".join(str(error).split())


def _choices(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) is Literal else ()


def _complain(sentence: str, code: int, tokens: Sequence[str]) -> int:
    print(f"celpaint: {sentence}", file=sys.stderr)
    if "--json" in tokens:
        print(json.dumps({"event": "error", "message": sentence, "exit_code": code}), flush=True)
    return code
