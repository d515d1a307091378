"""One HTML page without anything from elsewhere: bars for each benchmark, and its history over earlier records."""

import glob
import html
import json
import os
import re

from harness import figures
from harness.report import amount

TITLES = {"nano": "Nanobenchmarks (cycles)", "boot": "Boot", "system": "System programs",
          "compute": "Compute programs", "account": "Memory"}
COLOURS = ("#2f6fb2", "#c2602b", "#4b8f4b", "#8a5fb0", "#8c8c2b", "#5f8f9b")
OWN = "ringfence"
BAR, SPARK, SPARK_HEIGHT = 320, 160, 26

STYLE = """
:root{--page:#f4f5f7;--card:#fff;--text:#1d2430;--faint:#667085;--line:#e1e5eb;--good:#2c7a2c;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--page:#12151b;--card:#1a1f28;--text:#dfe4ec;--faint:#94a0b3;--line:#2c3442;
--good:#7ccf7c;--bad:#ff8a80}}
body{font:15px/1.5 system-ui,"DejaVu Sans",sans-serif;margin:0 auto;max-width:80rem;padding:1.5rem 1.25rem;color:var(--text);
background:var(--page)}
h1{font-size:1.6rem;margin:0}h2{font-size:1.2rem;margin:0 0 .4rem}h3{font-size:1rem;margin:1rem 0 .2rem}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1.1rem 1.25rem;margin:1rem 0;overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{padding:.25rem .6rem;text-align:right;white-space:nowrap;
border-bottom:1px solid var(--line)}tr:last-child td{border-bottom:0}th{color:var(--faint);font-weight:600;font-size:.88rem}
td:first-child,th:first-child,td.bars,.left td,.left th{text-align:left}.left .num{text-align:right}.figures{width:100%}
.figures td:first-child,.figures th:first-child{width:13.5rem}svg{display:block}.key{margin-right:1.5em}
.key i{display:inline-block;width:.8em;height:.8em;margin-right:.4em;border-radius:3px}.good{color:var(--good)}.bad{color:var(--bad)}
.note{color:var(--faint);margin:.2rem 0 .6rem}
"""


def history(directory, upto):
    """Earlier records with figures, oldest first, up to and including the one started at `upto`."""
    found = []
    for path in glob.glob(os.path.join(directory, "*.json")):
        try:
            with open(path, encoding="utf-8") as f:
                record = json.load(f)
        except (OSError, ValueError):
            continue
        if isinstance(record, dict) and record.get("figures") and record.get("started", "") <= upto:
            found.append(record)
    return sorted(found, key=lambda r: r["started"])


def points(records, part, group, name):
    """[(label, value)]: our figure over the calibration loop's where there is one, so that a busy host matters less."""
    out = []
    for record in records:
        try:
            value = record["figures"][part][group][name]["peers"][OWN]["best"]
        except KeyError:
            continue
        scale = record.get("calibration") if part != "account" else 1
        out.append((f"{record.get('commit', '?')} {record['started']}: {value:.4g}", value / (scale or 1)))
    return out


def spark(values):
    if len(values) < 2:
        return ""
    top = max(v for _, v in values) or 1
    step = (SPARK - 8) / (len(values) - 1)
    at = [(4 + i * step, SPARK_HEIGHT - 3 - (SPARK_HEIGHT - 6) * v / top) for i, (_, v) in enumerate(values)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2" fill="{COLOURS[0]}"><title>{html.escape(label)}</title></circle>'
                   for (x, y), (label, _) in zip(at, values))
    return (f'<svg width="{SPARK}" height="{SPARK_HEIGHT}"><polyline points="{line}" fill="none" '
            f'stroke="{COLOURS[0]}" stroke-width="1.2"/>{dots}</svg>')


def bars(peers, colours, unit):
    """One bar for each peer, as long as its share of the longest; the noise as a thin line at its end."""
    top = max(f["value"] for f in peers.values()) or 1
    out = []
    for i, (peer, f) in enumerate(peers.items()):
        width, noise = BAR * f["value"] / top, BAR * f["value"] / top * f["noise"]
        tip = html.escape(f"{peer}: {amount(f['value'], unit)}, noise {100 * f['noise']:.0f} %")
        out.append(f'<g><title>{tip}</title><rect x="0" y="{i * 8}" width="{max(width, 1):.1f}" height="7" fill="{colours[peer]}"/>'
                   f'<line x1="{max(width - noise, 0):.1f}" x2="{width + noise:.1f}" y1="{i * 8 + 3.5}" y2="{i * 8 + 3.5}" '
                   f'stroke="#888"/></g>')
    return f'<svg width="{BAR + 20}" height="{8 * len(peers)}">{"".join(out)}</svg>'


def ratio_cell(peers, over, under, good_above_one):
    if over not in peers or under not in peers or not peers[under]["value"]:
        return "<td></td>"
    r = peers[over]["value"] / peers[under]["value"]
    style = ("good" if r >= 1 else "bad") if good_above_one else ""
    return f'<td class="{style}">{r:.2f}</td>'


def table(part, group, names, records, order, colours):
    head = "".join(f"<th>{html.escape(p)}</th>" for p in order)
    lines = [f'<h3>{html.escape(group)}</h3><table class="figures"><tr><th></th><th></th>{head}<th>TCG / ours</th><th>ours / native</th>'
             "<th>history</th></tr>"]
    for name, entry in names.items():
        peers = {p: entry["peers"][p] for p in order if p in entry["peers"]}
        cells = "".join(f"<td>{amount(peers[p]['value'], entry['unit']) if p in peers else ''}</td>" for p in order)
        lines.append(f'<tr><td>{html.escape(name)}</td><td class="bars">{bars(peers, colours, entry["unit"])}</td>{cells}'
                     f'{ratio_cell(peers, "qemu-tcg", OWN, True)}{ratio_cell(peers, OWN, "native", False)}'
                     f"<td>{spark(points(records, part, group, name))}</td></tr>")
    lines.append("</table>")
    return "\n".join(lines)


def started(record):
    """20261120-070719 as people write it."""
    m = re.fullmatch(r"(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)", record["started"])
    return "{}-{}-{} {}:{}:{}".format(*m.groups()) if m else record["started"]


def budgets(lines):
    """The terminal's lines ("met by 59.4 %  what: figure, at least goal") as a table, what was missed first."""
    rows = []
    for line in lines:
        m = re.fullmatch(r"(\w+) +by +([0-9.]+) % +(.*?): ([^:]*), (at (?:least|most) .*)", line.strip())
        rows.append((line.strip().startswith("met"), m.groups() if m else ("", "", line.strip(), "", "")))
    rows.sort(key=lambda r: r[0])
    missed = sum(not met for met, _ in rows)
    out = [f"<section><h2>Budgets</h2><p class=\"note\">{len(rows) - missed} met, {missed} missed.</p>"
           '<table class="left"><tr><th></th><th class="num">by</th><th>what</th><th class="num">measured</th><th>goal</th></tr>']
    for met, (verdict, by, what, figure, goal) in rows:
        out.append(f'<tr><td class="{"good" if met else "bad"}">{html.escape(verdict.lower())}</td>'
                   f'<td class="num">{html.escape(by)}{" %" if by else ""}</td><td>{html.escape(what)}</td>'
                   f'<td class="num">{html.escape(figure)}</td><td>{html.escape(goal)}</td></tr>')
    return "\n".join(out) + "</table></section>"


def build(record, records):
    """The page's text."""
    order = []
    for *_, peers in figures.flat(record["figures"]):
        order += [p for p in peers if p not in order]
    order.sort(key=lambda p: (p != "native", p != OWN, p))
    colours = {p: COLOURS[i % len(COLOURS)] for i, p in enumerate(sorted(order, key=lambda p: (p != OWN, p)))}
    keys = "".join(f'<span class="key"><i style="background:{colours[p]}"></i>{html.escape(p)}</span>' for p in order)
    host = record["host"]
    out = ['<!doctype html><html lang=en><meta charset=utf-8><meta name="viewport" content="width=device-width, initial-scale=1">'
           '<meta name="color-scheme" content="light dark"><title>Ringfence benchmarks</title>',
           f"<style>{STYLE}</style><h1>Ringfence benchmarks</h1>",
           f'<p class="note">{html.escape(started(record))}, commit {html.escape(record["commit"])}, {html.escape(host["cpu"])}, '
           f'{host["cpus"]} processors, load {host["load"][0]:.1f}, {record["runs"]} runs.</p><p>{keys}</p>',
           '<p class="note">Bars are medians, shorter is better. History: this and earlier records, our figure over a '
           "calibration loop of the same run.</p>"]
    if record.get("budgets"):
        out.append(budgets(record["budgets"]))
    for part, groups in record["figures"].items():
        out.append(f"<section><h2>{html.escape(TITLES.get(part, part))}</h2>")
        out += [table(part, group, names, records, order, colours) for group, names in groups.items()]
        out.append("</section>")
    return "\n".join(out) + "</html>\n"


def write(path, record, directory):
    with open(path, "w", encoding="utf-8") as f:
        f.write(build(record, history(directory, record["started"])))
