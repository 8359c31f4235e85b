"""Runs `linetap mirror` and compares all that comes out of it with what must.

Exit status 0 when everything agrees; every disagreement is a line on stdout.
"""

import argparse
import sys
from pathlib import Path

from . import corpus, golden, mutants


def main() -> int:
    parser = argparse.ArgumentParser(prog="oracle", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for name, help, what in [
        ("golden", "the cases of our own making", golden),
        ("mutants", "their frames, changed at random", mutants),
        ("captures", "all captures below a directory", corpus),
    ]:
        command = commands.add_parser(name, help=help)
        command.add_argument("linetap", type=Path, help="the binary")
        command.add_argument("directories", type=Path, nargs="+")
        command.set_defaults(faults=what.faults)
    given = parser.parse_args()
    found = False
    for fault in given.faults(given.linetap, given.directories):
        print(fault[:4000], flush=True)
        found = True
    return 1 if found else 0


sys.exit(main())
