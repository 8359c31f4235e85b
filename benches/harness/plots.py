"""The plots of the page, as SVG that takes its colours from the page: readable in light and in dark."""

import io
import re
import statistics

# Drawn in these, which the page's own take the place of.
COLOURS = {
    "#010101": "var(--ink)",
    "#020202": "var(--faint)",
    "#030303": "var(--linetap)",
    "#040404": "var(--testpmd)",
    "#050505": "var(--other)",
    "#060606": "var(--floor)",
    "#070707": "var(--missed)",
}
INK, FAINT, LINETAP, TESTPMD, OTHER, FLOOR, MISSED = COLOURS
WIDTH_INCHES, ROW_INCHES, FRAME_INCHES = 9.2, 0.27, 0.75


def is_there():
    """Whether the library is."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


def figure(rows, title):
    """A figure with room for so many rows of bars."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({
        "svg.fonttype": "none", "svg.hashsalt": "linetap", "font.family": "sans-serif", "font.size": 9,
        "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": FAINT,
    })
    from matplotlib import pyplot

    made, axes = pyplot.subplots(figsize=(WIDTH_INCHES, FRAME_INCHES + ROW_INCHES * rows), layout="constrained")
    made.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="x", color=FAINT, linewidth=0.5, alpha=0.5)
    axes.set_title(title, loc="left", fontsize=10)
    return made, axes


def svg(made, what):
    """A figure as an element of the page, which says what it shows to those who can't see it."""
    from matplotlib import pyplot

    out = io.StringIO()
    made.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    pyplot.close(made)
    text = re.sub(r"<metadata>.*?</metadata>", "", out.getvalue()[out.getvalue().index("<svg") :], flags=re.S)
    for drawn, shown in COLOURS.items():
        text = text.replace(drawn, shown)
    # Identifiers must not meet those of another figure on the page.
    prefix = re.sub(r"\W+", "-", what)
    text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{prefix}-", text)
    return re.sub(r"<svg ", f'<svg role="img" aria-label="{what}" ', text, count=1)


def colour_of(case):
    return {"linetap": LINETAP, "testpmd": TESTPMD}.get(case["system"], OTHER)


def rates(doc, keys, title):
    """Median Mpps of cases as bars, with whiskers from the lowest to the highest round."""
    made, axes = figure(len(keys), title)
    for at, key in enumerate(keys):
        mpps = [rate / 1e6 for rate in doc["pps"][key]]
        low, middle, high = min(mpps), statistics.median(mpps), max(mpps)
        axes.barh(at, middle, color=colour_of(doc["cases"][key]), height=0.66)
        axes.plot([low, high], [at, at], color=INK, linewidth=1)
        axes.plot([low, high], [at, at], "|", color=INK, markersize=6)
        axes.annotate(f"{middle:.3g}", (high, at), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8)
    named_rows(axes, doc, keys)
    axes.set_xlim(0, max(max(doc["pps"][key]) for key in keys) / 1e6 * 1.09)
    axes.set_xlabel("million packets per second (bar: median of the rounds; whiskers: lowest and highest)")
    return svg(made, f"Packets per second, {title}")


def ratios(doc, claims, title):
    """Medians of ratios to testpmd io as bars, with the floors as marks."""
    made, axes = figure(len(claims), title)
    for at, claim in enumerate(claims):
        low, middle, high = min(claim["ratios"]), statistics.median(claim["ratios"]), max(claim["ratios"])
        colour = MISSED if claim["missed"] else colour_of(doc["cases"][claim["case"]])
        axes.barh(at, middle, color=colour, height=0.66)
        axes.plot([low, high], [at, at], color=INK, linewidth=1)
        if claim["floor"]:
            axes.plot([claim["floor"]] * 2, [at - 0.45, at + 0.45], color=FLOOR, linewidth=2.5)
        text = f"{middle:.2f}" + (f", below its floor of {claim['floor']:.2f}" if claim["missed"] else "")
        right = max(high, claim["floor"] or 0)
        axes.annotate(text, (right, at), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8)
    named_rows(axes, doc, [claim["case"] for claim in claims])
    axes.axvline(1, color=INK, linewidth=0.8, linestyle="--")
    axes.set_xlim(0, max(1.1, *(max(claim["ratios"]) * 1.12 for claim in claims)))
    axes.set_xlabel("rate as a part of testpmd io's in the same round (dashed: as fast; mark across a bar: the floor)")
    return svg(made, f"Ratios to testpmd io, {title}")


def named_rows(axes, doc, keys):
    axes.set_yticks(range(len(keys)), [doc["cases"][key]["name"] for key in keys])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()


def scaling(curves, title):
    """`curves`: (name, [(workers, Mpps, limit)]); the first point is measured, the rest modelled."""
    made, axes = figure(9, title)
    shapes = "osD^"
    for (name, points), shape in zip(curves, shapes):
        workers, mpps = [point[0] for point in points], [point[1] for point in points]
        (line,) = axes.plot(workers, mpps, linestyle="--", linewidth=1.2, color=LINETAP, marker=shape, markerfacecolor="none")
        axes.plot(workers[:1], mpps[:1], marker=shape, color=line.get_color(), linestyle="none")
    for height, name in spread([(points[-1][1], name) for name, points in curves]):
        axes.annotate(name, (curves[0][1][-1][0], height), xytext=(8, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_ylim(0, 1.12 * max(points[-1][1] for _, points in curves))
    axes.set_xscale("log", base=2)
    ticks = [point[0] for point in curves[0][1]]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlim(0.9, ticks[-1] * 2.2)
    axes.grid(axis="y", color=FAINT, linewidth=0.5, alpha=0.5)
    axes.set_xlabel("workers (filled: measured; hollow: modelled)")
    axes.set_ylabel("Mpps")
    return svg(made, f"Model of more workers, {title}")


def spread(labels):
    """(height, name) of labels, moved apart so that none lies on another."""
    gap = max(height for height, _ in labels) / 14
    apart, floor = [], 0
    for height, name in sorted(labels):
        apart.append((max(height, floor), name))
        floor = apart[-1][0] + gap
    return apart
