"""A run as one self-contained page: plots, facts, tables, the commands that repeat it."""

import html as markup
import statistics

from harness import model, plots, report
from harness.cases import FILE, FLOWS, SIZES

TITLES = {
    "60": "60-byte frames",
    "imix": "IMIX (60, 566 and 1514 bytes, 7 : 4 : 1), 500 flows",
    "1514": "1514-byte frames",
    FLOWS: "IMIX, 10,000 flows",
    FILE: "a capture file of IMIX into another file",
}
STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1d232b; --faint: #b8c0ca; --panel: #f3f5f8;
  --linetap: #1f77b4; --testpmd: #8a929c; --other: #c98a2b; --floor: #111111; --missed: #c23b3b; --link: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181d; --ink: #e4e8ee; --faint: #56606c; --panel: #1e242b;
  --linetap: #4ba3e3; --testpmd: #7c8590; --other: #d9a24a; --floor: #ffffff; --missed: #e8716f; --link: #7db8f0; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; margin: 0; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { margin: 0 0 .3rem; } h2 { margin: 2.6rem 0 .6rem; } a { color: var(--link); }
svg { max-width: 100%; height: auto; display: block; margin: 1rem 0; font-family: system-ui, "DejaVu Sans", sans-serif; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid var(--faint); text-align: right; white-space: nowrap; }
th { vertical-align: bottom; white-space: normal; } .words { text-align: left; }
tr.missed td { color: var(--missed); font-weight: 600; } td.model, th.model { background: var(--panel); font-style: italic; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; } dt { font-weight: 600; } dd { margin: 0; }
pre { background: var(--panel); padding: .8rem; overflow-x: auto; } .lead { max-width: 48rem; }
.key span { display: inline-block; width: .9em; height: .9em; border-radius: 2px; margin: 0 .35em 0 1em; vertical-align: -.08em; }
.verdict { border-left: 4px solid var(--linetap); padding: .4rem 1rem; background: var(--panel); }
.verdict.bad { border-color: var(--missed); }
"""
LEAD = """linetap mirrors the traffic of a wire: it forwards every frame and sends a copy of those that its
filters select, in VXLAN, to a tool. This page shows how many packets per second one core does so, beside what else can
do the job on the same machine, the same frames and the same virtual devices, in one run: each round measured every case
once, one after the other. The machine's speed may change while it runs, so that only ratios within a round
mean much; floors are held against the median of those. linetap has one session with ten rules unless a name says otherwise."""
SYSTEMS = [
    ("testpmd io", "DPDK's own test program, which forwards frames without a look at them: the most that one core can do on these "
     "devices. macswap rewrites addresses, csum parses headers."),
    ("linetap forward", "linetap as a wire with no session at all."),
    ("linetap inline none", "one session whose filter matches none of the frames: each is looked up, none is copied."),
    ("linetap inline quarter", "about a quarter of the frames match, by ten rules of several kinds, and are copied."),
    ("linetap inline all", "every frame is forwarded and copied: the hardest case. Three sessions share the copies "
     "about equally; cut to 128: copies hold the first 128 bytes of their frame."),
    ("linetap span all", "fed by a switch's SPAN port: nothing to forward, every frame becomes its own copy."),
    ("ovs", "Open vSwitch with DPDK and one polling core, with the same rules in OpenFlow. tap forwards and copies, span only copies."),
    ("kernel tap", "the Linux kernel's tc, u32 filters and mirred, between network namespaces; the same rules."),
    ("linetap mirror, tcpdump -r -w", "no devices: a capture file is filtered into another one."),
]


def can_plot():
    return plots.is_there()


def html(doc):
    sections = [verdict(doc), rates_section(doc), ratios_section(doc), against_section(doc), scaling_section(doc), facts_section(doc)]
    body = "\n".join(["<h1>linetap, side by side</h1>", f'<p class="lead">{LEAD}</p>', *filter(None, sections)])
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>linetap, side by side, {doc['machine'].get('date', '')}</title><style>{STYLE}</style></head>"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def verdict(doc):
    held = [claim for claim in doc["claims"] if claim["floor"]]
    faults = report.missed(doc)
    if not held:
        return ""
    if not faults:
        return f'<p class="verdict">All {len(held)} floors were reached.</p>'
    lines = "".join(f"<li>{markup.escape(line)}</li>" for line in faults)
    return f'<div class="verdict bad"><p>{len(faults)} of {len(held)} floors were missed:</p><ul>{lines}</ul></div>'


def keys_of(doc, frames):
    return [key for key, case in doc["cases"].items() if case["frames"] == frames]


def rates_section(doc):
    what = "".join(f"<dt>{markup.escape(name)}</dt><dd>{text}</dd>" for name, text in SYSTEMS if has(doc, name))
    key = (
        '<p class="key"><span style="background:var(--linetap)"></span>linetap'
        '<span style="background:var(--testpmd)"></span>testpmd<span style="background:var(--other)"></span>others</p>'
    )
    figures = [plots.rates(doc, keys_of(doc, frames), title) for frames, title in TITLES.items() if keys_of(doc, frames)]
    return f'<h2>Packets per second on one core</h2>\n<dl class="lead">{what}</dl>\n{key}\n' + "\n".join(figures)


def has(doc, name):
    """Whether any case is of a system that `SYSTEMS` describes."""
    return any(case["name"].startswith(part) for case in doc["cases"].values() for part in name.split(", "))


def ratios_section(doc):
    figures = []
    for frames in (*SIZES, FLOWS):
        keys = keys_of(doc, frames)
        found = [claim for claim in doc["claims"] if claim["is_of_io"] and claim["case"] in keys]
        if found:
            figures.append(plots.ratios(doc, found, TITLES[frames]))
    if not figures:
        return ""
    text = "How much of testpmd io's rate, which is that of the devices, is left when more is done than forwarding."
    lead = f'<p class="lead">{text} The floors are what the project holds itself to.</p>'
    return f"<h2>As a part of what the devices can do</h2>\n{lead}\n" + "\n".join(figures)


def against_section(doc):
    lines = report.claims_table(doc)
    if len(lines) == 1:
        return ""
    text = (
        "Ratios within rounds: how many times as fast as a peer at the same job; what more rules, sessions and flows leave of the rate; "
        "what cutting copies gains."
    )
    return f'<h2>Held against one another</h2>\n<p class="lead">{text}</p>\n{table(lines, words=3)}'


def scaling_section(doc):
    lines = report.model_table(doc)
    if len(lines) == 1:
        return ""
    figures = [plots.scaling(curves(doc, frames), TITLES[frames]) for frames in SIZES if curves(doc, frames)]
    notes = "".join(f'<p class="lead">{part}</p>\n' for part in markup.escape(report.model_notes(doc)).split("\n\n"))
    modelled_from = lines[0].index("buffers")
    return f"<h2>What more workers would do</h2>\n{notes}{table(lines, words=2, modelled_from=modelled_from)}\n" + "\n".join(figures)


def curves(doc, frames):
    memory_rate = statistics.median(doc["memory"]["all"])
    found = []
    for name in report.MODELLED:
        key = f"{name}/{frames}"
        if key in doc["pps"]:
            pps, work = statistics.median(doc["pps"][key]), report.work_of(doc, key)
            points = [(n, *model.scaled(n, pps, work, memory_rate)) for n in model.WORKERS]
            found.append((name.removeprefix("linetap "), [(n, rate / 1e6, limit) for n, rate, limit in points]))
    return found


def facts_section(doc):
    facts = "".join(f"<dt>{markup.escape(name)}</dt><dd>{markup.escape(str(value))}</dd>" for name, value in doc["machine"].items())
    frames = "".join(
        f"<li>{markup.escape(TITLES[name])}: {had['packets']:,} packets, {had['mean_len']:.1f} bytes on average without FCS, "
        f"{had['flows']:,} flows</li>"
        for name, had in doc["frames"].items()
    )
    lines = "".join(f"<li>{markup.escape(line)}</li>" for line in report.shares_lines(doc))
    held = "Shares that are copied, computed from the flows; a run in which a case copies another share fails:"
    shares = f"<p>{held}</p><ul>{lines}</ul>\n" if lines else ""
    traffic = "Four flows in five are IPv4, seven in ten TCP. Each capture repeats for ever out of memory."
    commands = f"scripts/setup --bench\n{doc['command']}"
    return (
        f"<h2>Every figure</h2>\n{table(report.rates_table(doc), words=2)}\n"
        f"<h2>The machine</h2>\n<dl>{facts}</dl>\n"
        f"<h2>The frames</h2>\n<p>{traffic}</p><ul>{frames}</ul>\n{shares}"
        f"<h2>Again</h2>\n<p>As root, in a clone of the repository at the commit above:</p>\n<pre>{markup.escape(commands)}</pre>"
    )


def classed(kind):
    return f' class="{kind}"' if kind else ""


def table(lines, words, modelled_from=None):
    """An HTML table; the first `words` columns hold words, those from `modelled_from` on a model."""
    def cells(tag, line):
        is_model = lambda at: modelled_from is not None and at >= modelled_from
        kinds = ["words" if at < words else "model" if is_model(at) else "" for at in range(len(line))]
        return "".join(f'<{tag}{classed(kind)}>{markup.escape(cell)}</{tag}>' for kind, cell in zip(kinds, line))

    head, *rest = lines
    kind = lambda line: "missed" if line[-1].endswith(" missed") else ""
    rows = "".join(f'<tr{classed(kind(line))}>{cells("td", line)}</tr>\n' for line in rest)
    text = f'<table><thead><tr>{cells("th", head)}</tr></thead><tbody>\n{rows}</tbody></table>'
    return f'<div class="scroll">{text}</div>'
