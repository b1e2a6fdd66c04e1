"""What a user can mend: one exception class, and the frame in which every command-line program runs.

Knows nothing of Snakemake or of any particular stage.
"""

import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Something the user can mend; its text says what is wrong, what is allowed and where to mend it."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is not among ``known``, with the nearest known one as a hint."""
    known = sorted(known)
    near = get_close_matches(name, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return UserError(f"unknown {kind} '{name}'.{hint} Known: {', '.join(known)}.")


def run_program(main: Callable[[], None]) -> None:
    """Run ``main``; a :class:`UserError` becomes one readable message and exit status 1."""
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except SystemExit as error:
        if error.code == 2:  # argparse has said what is wrong with the command line
            print(f"'python {sys.argv[0]} --help' says what each option takes.", file=sys.stderr)
        raise
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing half-written was kept; the same command continues")
