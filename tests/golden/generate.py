"""Writes the inputs of all golden cases, always the same bytes. `--check` only compares."""

import sys
from pathlib import Path

import cases_classify
import cases_encap
import cases_files
import cases_parse
from case import Case

HERE = Path(__file__).resolve().parent
EXPECTED = ("out",)  # what `LINETAP_BLESS=1 cargo test` writes, not we


def main() -> int:
    cases: list[Case] = [
        case
        for module in (cases_parse, cases_classify, cases_encap, cases_files)
        for case in module.cases()
    ]
    stale = {
        path for path in HERE.glob("*/**/*") if path.is_file() and "__pycache__" not in path.parts
    }
    differing = []
    for case in cases:
        for name, data in case.files().items():
            path = HERE / case.name / name
            stale.discard(path)
            if not path.is_file() or path.read_bytes() != data:
                differing.append(path)
                if "--check" not in sys.argv:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)
    names = {case.name for case in cases}
    stale = {
        path
        for path in stale
        if (parts := path.relative_to(HERE).parts)[0] not in names or parts[1] not in EXPECTED
    }
    for path in sorted(stale):
        print(f"{path} belongs to no case")
    if "--check" in sys.argv:
        for path in differing:
            print(f"{path} is not what generate.py makes")
        return 1 if differing or stale else 0
    print(f"{len(cases)} cases, {len(differing)} files written")
    return 1 if stale else 0


sys.exit(main())
