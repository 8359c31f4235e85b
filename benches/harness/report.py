"""A run as a document that JSON can hold, and that document as Markdown."""

import statistics

from harness import itself, model
from harness.cases import SIZES, claims

MODELLED = ("linetap forward", "linetap inline quarter", "linetap inline all", "linetap span all")

def document(facts, results, contents, expectations, memory):
    """`results`: packets per second by case, one a round. `contents`: of the captures, by frames.
    `expectations`: what each case that copies was held to. `memory`: bytes per second, by round."""
    return {
        **facts,
        "pps": {case.key: rates for case, rates in results.items()},
        "cases": {case.key: described(case, expectations.get(case)) for case in results},
        "claims": [held(claim, results) for claim in claims(list(results))],
        "frames": {
            frames: {"mean_len": had.mean(), "packets": had.total, "flows": len({flow for flow, _ in had.packets})}
            for frames, had in contents.items()
        },
        "memory": memory,
    }


def described(case, expected):
    fields = {"name": case.name, **case._asdict()}
    if expected:
        fields |= {"shares": expected.shares, "mean_copy_len": expected.mean_len}
    return fields


def held(claim, results):
    """Ratios within rounds: on a shared machine nothing else means anything."""
    ratios = [rate / base for rate, base in zip(results[claim.case], results[claim.base])]
    missed = claim.floor is not None and statistics.median(ratios) < claim.floor
    return {
        "case": claim.case.key, "base": claim.base.key, "is_of_io": claim.is_of_io,
        "floor": claim.floor, "ratios": ratios, "missed": missed,
    }


def missed(doc):
    """A line for each floor that was not reached."""
    return [
        f"{named(doc, claim['case'])}: {statistics.median(claim['ratios']):.3f} of {named(doc, claim['base'], False)}'s rate, "
        f"floor {claim['floor']:.2f}"
        for claim in doc["claims"] if claim["missed"]
    ]


def named(doc, key, with_frames=True):
    case = doc["cases"][key]
    return f"{case['name']}, {case['frames']}" if with_frames else case["name"]


def low_mid_high(values, digits=2):
    return [f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values))]


def rows_of(lines):
    """A Markdown table; the first line is its head."""
    head, *rest = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([head, "|" + "---|" * len(lines[0]), *rest])


def io_claim(doc, key):
    return next((claim for claim in doc["claims"] if claim["case"] == key and claim["is_of_io"]), None)


def rates_table(doc):
    lines = [["frames", "system", "Mpps min", "median", "max", "of testpmd io", "floor"]]
    for key, rates in doc["pps"].items():
        case, claim = doc["cases"][key], io_claim(doc, key)
        ratio = f"{statistics.median(claim['ratios']):.2f}" if claim else ""
        floor = f"{claim['floor']:.2f}" + (" missed" if claim["missed"] else "") if claim and claim["floor"] else ""
        mpps = low_mid_high([rate / 1e6 for rate in rates], 2 if max(rates) > 2e6 else 3)
        lines.append([case["frames"], case["name"], *mpps, ratio, floor])
    return lines


def claims_table(doc):
    """What else was held against what."""
    lines = [["frames", "system", "held against", "ratio min", "median", "max", "floor"]]
    for claim in doc["claims"]:
        if not claim["is_of_io"]:
            floor = f"{claim['floor']:.2f}" + (" missed" if claim["missed"] else "") if claim["floor"] else ""
            case, base = doc["cases"][claim["case"]], doc["cases"][claim["base"]]
            against = named(doc, claim["base"], with_frames=base["frames"] != case["frames"])
            lines.append([case["frames"], case["name"], against, *low_mid_high(claim["ratios"]), floor])
    return lines


def shares_lines(doc):
    """The exact shares that were copied, where it is not simply all or nothing."""
    lines = []
    for case in doc["cases"].values():
        shares = case.get("shares", [])
        if case["system"] == "linetap" and case["job"] != "inline none" and shares not in ([], [1.0]):
            lines.append(f"{case['name']}, {case['frames']}: " + " + ".join(f"{share:.2%}" for share in shares) + " of the frames copied")
    return lines


def work_of(doc, key):
    case = doc["cases"][key]
    return model.Work(
        doc["frames"][case["frames"]]["mean_len"], sum(case["shares"]), case["mean_copy_len"], case["job"] != "span all"
    )


def model_table(doc):
    """Measured in the first columns, modelled in the others."""
    head = ["frames", "system", "Mpps of one worker", "cycles per packet", "buffers", "bytes of memory"]
    head += [f"{n} workers" for n in model.WORKERS[1:]] + ["Mpps of full 100 GbE", "workers then", "GB/s then"]
    lines = [head]
    memory_rate = statistics.median(doc["memory"]["all"])
    for frames in SIZES:
        for name in MODELLED:
            key = f"{name}/{frames}"
            if key not in doc["pps"]:
                continue
            pps, work = statistics.median(doc["pps"][key]), work_of(doc, key)
            cycles = f"{doc['tsc_hz'] / pps:.0f}" if doc.get("tsc_hz") else "?"
            cells = [frames, name, f"{pps / 1e6:.2f}", cycles, f"{work.buffers:.2f}", f"{work.memory_bytes:.0f}"]
            for workers in model.WORKERS[1:]:
                rate, limit = model.scaled(workers, pps, work, memory_rate)
                cells.append(f"{rate / 1e6:.1f}" + ("" if limit == "workers" else f" {limit[0]}"))
            cells += [f"{work.line_pps / 1e6:.1f}", f"{model.workers_for_line(pps, work):.0f}"]
            cells.append(f"{work.line_pps * work.memory_bytes / 1e9:.0f}")
            lines.append(cells)
    return lines


MODEL_NOTES = """Measured: the rate of one worker in this run, the cycles of the time-stamp counter that this makes per packet,
and the rate of the machine's memory: {one:.1f} GB/s by one core and {all:.1f} GB/s by all {cores} at once ({method}).

Modelled: everything from "buffers" on, per packet and in Mpps. Workers share nothing but memory and wires, so N of them do N times
as much until one is full: m, the memory, at the rate that all cores reached here; w, the wire, or t, the tool's wire, both of 100
GbE, on which a frame takes 24 bytes more than it has and a copy 74. The last columns say what a full wire takes, memory aside.

Bytes of memory are those that cross its bus per packet with a network card, as if no cache served it: the worst case. On the
virtual devices of this run there is no card: the worker itself copies each frame out of the capture, which a card does by DMA, and
no descriptor crosses PCIe."""


def model_notes(doc):
    memory = {which: statistics.median(doc["memory"][which]) / 1e9 for which in ("one", "all")}
    return MODEL_NOTES.format(**memory, cores=doc["memory"]["cores"], method=doc["memory"]["method"])


def facts_of(doc):
    return ", ".join(f"{name} {value}" for name, value in doc["machine"].items())


def summary(doc):
    """What was run, on what."""
    captures = "; ".join(
        f"{frames}: {had['packets']:,} packets of {had['mean_len']:.1f} bytes on average, {had['flows']:,} flows"
        for frames, had in doc["frames"].items()
    )
    return f"`{doc['command']}`: {facts_of(doc)}.\n\nFrames: {captures}. linetap has 10 rules and one session unless it says otherwise."


def markdown(doc):
    parts = ["# Side by side", summary(doc), rows_of(rates_table(doc))]
    if len(against := claims_table(doc)) > 1:
        parts += ["## Held against one another", rows_of(against)]
    faults = missed(doc)
    parts.append("Below the floor:\n\n" + "\n".join(f"- {line}" for line in faults) if faults else "No floor was missed.")
    if shares := shares_lines(doc):
        parts += ["## Shares", "Computed from the flows of the captures; every case is held to them.", "\n".join(f"- {line}" for line in shares)]
    if len(modelled := model_table(doc)) > 1:
        parts += ["## What more workers would do", model_notes(doc), rows_of(modelled)]
    if doc.get("itself"):
        parts += self_parts(doc["itself"])
    return "\n\n".join(parts) + "\n"


def self_parts(rows):
    notes = [f"- {row['configuration']}, {row['frames']}: {note}" for row in rows for note in row["notes"]]
    parts = ["## The appliance, measured by itself", itself.NOTE + " Rates are Mpps.", rows_of(itself.table(rows))]
    return parts + (["\n".join(notes)] if notes else [])


def itself_markdown(doc):
    """The report of a run that measured nothing else."""
    lead = f"`{doc['command']}`: {facts_of(doc)}."
    return "\n\n".join(["# The appliance by itself", lead, *self_parts(doc["itself"])[1:]]) + "\n"
