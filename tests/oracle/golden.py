"""The golden cases: a directory each with `case.json`, an appliance file, a template and captures."""

import json
from collections.abc import Iterator
from pathlib import Path

from . import check, wireshark


def order_of(case: Path) -> check.Order:
    wanted = json.loads((case / "case.json").read_text())
    reads = [argument.split("=", 1) for argument in wanted["read"]]
    return check.Order(
        config=case / "appliance.toml",
        template=case / wanted.get("template", "template.json"),
        reads=[(port, case / "in" / name) for port, name in reads],
        writes=wanted["write"],
    )


def faults(linetap: Path, cases: list[Path]) -> Iterator[str]:
    law, claims = check.Law(), []
    for case in cases:
        verdict = check.judge(linetap, order_of(case), law)
        yield from (f"{case.name}: {fault}" for fault in verdict.faults)
        claims += verdict.copies
    yield from wireshark.faults(claims)
