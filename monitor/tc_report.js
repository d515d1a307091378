"use strict";
/*
 * The report's page. Everything shown comes from the JSON in #data and is put into the document as text, never as markup: names and
 * disassembly are the guest's. The unit looked at is in the fragment (#ccf=123), so that the browser's history is the walk.
 */
(() => {
const D = JSON.parse(document.getElementById("data").textContent);
const C = D.ccf, N = C.id.length, CODE = D.code;
const DORMANT = 1, SELFCHECK = 2, CROSSING = 4, MODE_USER = 1;
const $ = id => document.getElementById(id);

/* ---- elements and texts ---- */

function fill(e, attributes, children) {
	for (const [k, v] of Object.entries(attributes || {}))
		if (k.startsWith("on"))
			e.addEventListener(k.slice(2), v);
		else if (v !== null && v !== undefined)
			e.setAttribute(k, v);
	e.append(...children.filter(c => c !== null && c !== undefined));
	return e;
}
const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
const hex = (n, digits = 8) => n.toString(16).padStart(digits, "0");
const num = n => Math.round(n).toString().replace(/\B(?=(\d{3})+$)/g, "\u202f");
const count = (n, what) => `${num(n)} ${what}${n === 1 ? "" : "s"}`;
const percent = (a, b) => b ? `${(100 * a / b).toFixed(a && a / b < 0.1 ? 2 : 1)} %` : "–";

function short(n) {
	const units = ["", " k", " M", " G", " T", " P"];
	let u = 0;
	for (; n >= 999.5 && u < units.length - 1; u++)
		n /= 1000;
	return (u ? n.toPrecision(3) : num(n)) + units[u];
}

function bytes(n) {
	const units = ["B", "KiB", "MiB", "GiB"];
	let u = 0;
	for (; n >= 1024 && u < units.length - 1; u++)
		n /= 1024;
	return `${u && n < 100 ? n.toFixed(1) : Math.round(n)} ${units[u]}`;
}

function duration(seconds) {
	return seconds >= 1 ? `${seconds.toFixed(2)} s` : seconds >= 1e-3 ? `${(seconds * 1e3).toFixed(2)} ms` :
		`${(seconds * 1e6).toFixed(1)} µs`;
}

function tip(event, text) {
	const t = $("tip");
	t.hidden = !text;
	if (!text)
		return;
	t.textContent = text;
	t.style.left = `${Math.min(event.clientX + 14, innerWidth - t.offsetWidth - 8)}px`;
	t.style.top = `${Math.min(event.clientY + 14, innerHeight - t.offsetHeight - 8)}px`;
}
const tips = text => ({onmousemove: e => tip(e, text), onmouseleave: e => tip(e, "")});

/* ---- what is derived from the columns ---- */

const indexOf = new Map();
for (let i = 0; i < N; i++)
	indexOf.set(C.id[i], i);
const metrics = {
	executions: {text: "executions", value: i => C.executions[i]},
	instructions: {text: "instructions executed", value: i => C.executions[i] * C.insns[i]},
	samples: {text: "samples (kicks that found it running)", value: i => C.samples[i]},
	units: {text: "units", value: () => 1},
};
if (!D.counted) {
	delete metrics.executions;
	delete metrics.instructions;
}
const mainMetric = D.counted ? "executions" : "samples";
const heat = metrics[mainMetric].value;
let hottest = 0, total = 0;
for (let i = 0; i < N; i++) {
	hottest = Math.max(hottest, heat(i));
	total += heat(i);
}

/* Live units by where they begin and for which mode: where an exit leads that is not chained now. */
const placeOf = new Map(), placeKey = (lin, mode) => lin * 0x200000 + mode;
for (let i = 0; i < N; i++)
	if (!(C.flags[i] & DORMANT))
		placeOf.set(placeKey(C.lin[i], C.mode[i]), i);

/* The exits of unit i: the unit each leads to (-1: none known), and whether it is chained. */
function exitsOf(i) {
	return [[C.to0[i], C.target0[i]], [C.to1[i], C.target1[i]]].slice(0, C.exits[i]).map(([to, target]) => {
		const chained = to !== 0 && indexOf.has(to);
		return {target, chained, unit: chained ? indexOf.get(to) : placeOf.get(placeKey(target, C.mode[i])) ?? -1};
	});
}

/* Whose exits lead to unit i: incoming[first[i]] to incoming[first[i + 1] - 1]; how many of them are chained. */
const first = new Uint32Array(N + 1), chainedTo = new Uint32Array(N), edges = [];
for (let i = 0; i < N; i++)
	for (const x of exitsOf(i))
		if (x.unit >= 0) {
			edges.push([i, x.unit]);
			first[x.unit + 1]++;
			chainedTo[x.unit] += x.chained;
		}
for (let i = 0; i < N; i++)
	first[i + 1] += first[i];
const incoming = new Uint32Array(edges.length), place = first.slice();
for (const [from, to] of edges)
	incoming[place[to]++] = from;

function stateText(i) {
	return [C.flags[i] & DORMANT ? "dormant" : "live", C.flags[i] & SELFCHECK ? "checks itself" : "",
		C.flags[i] & CROSSING ? "two pages" : ""].filter(Boolean).join(", ");
}

/* ---- colours ---- */

const dark = matchMedia("(prefers-color-scheme: dark)");
const ramps = {
	light: [[255, 243, 214], [253, 196, 112], [240, 110, 62], [180, 30, 86], [70, 12, 92]],
	dark: [[48, 34, 66], [112, 28, 108], [198, 54, 76], [246, 138, 58], [253, 230, 150]],
};

function heatColour(value, most) {
	const ramp = ramps[dark.matches ? "dark" : "light"];
	const at = (most > 0 ? Math.log1p(value) / Math.log1p(most) : 0) * (ramp.length - 1);
	const k = Math.min(Math.floor(at), ramp.length - 2);
	return ramp[k].map((c, n) => Math.round(c + (ramp[k + 1][n] - c) * (at - k)));
}
const css = c => `rgb(${c.join(" ")})`;
const inkOn = c => 0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2] > 140 ? "#16181d" : "#fff";

/* ---- head ---- */

function showHead() {
	const m = D.machine;
	document.title = `Ringfence: translation cache${m.name ? ` of ${m.name}` : ""}`;
	$("machine").textContent = [m.name, m.kernel || "built-in guest", `${bytes(m.ram)} RAM`, `Ringfence ${m.version}`,
		`written ${m.written.replace("T", " ").replace("Z", " UTC")}`].filter(Boolean).join(" · ");
	const s = D.statistics;
	let live = 0, guest = 0, host = 0, exits = 0, chained = 0, instructions = 0;
	for (let i = 0; i < N; i++) {
		instructions += C.executions[i] * C.insns[i];
		if (C.flags[i] & DORMANT)
			continue;
		live++;
		guest += C.guest[i];
		host += C.host[i];
		exits += C.exits[i];
		chained += !!C.to0[i] + !!C.to1[i];
	}
	const tile = (id, big, text, value) => el("div", {class: "tile", id: `tile-${id}`, "data-value": value}, el("b", {}, big), el("span", {}, text));
	$("tiles").append(
		tile("ccfs", num(N), `CCFs: ${num(live)} live, ${num(N - live)} dormant`, N),
		D.counted ? tile("executions", short(total), `executions, ${short(instructions)} instructions`, total) :
			tile("samples", num(total), "samples; executions were not counted", total),
		tile("chained", percent(chained, exits), `of ${num(exits)} direct exits are chained`, chained),
		tile("expansion", guest ? `${(host / guest).toFixed(2)} ×` : "–", `${bytes(guest)} of guest code became ${bytes(host)}`, host),
		tile("translations", num(s.translations[0]), `translations, ${num(s.revivals[0])} revivals`, s.translations[0]),
		tile("invalidations", num(s.invalidations[0]), `dropped by writes, ${num(s.evictions[0])} evicted for room`, s.invalidations[0]),
		tile("cache", bytes(m.fill), `filled up to here, of ${bytes(m.cache)}`, m.fill));
}

/* ---- where the time went ---- */

const timeColours = {tc: "#3b7dd8", translator: "#e08a2e", interpreter: "#8e5bbf", callouts: "#c94f7c", faults: "#d0443c", direct: "#2f9e77",
	monitor: "#7b8794", halted: "#b9c2cf", paused: "#d5dae2"};

function showTime() {
	const all = D.time.reduce((sum, t) => sum + t.ns, 0), idle = t => t.key === "halted" || t.key === "paused";
	const busy = D.time.reduce((sum, t) => sum + (idle(t) ? 0 : t.ns), 0);
	const rows = D.time.filter(t => t.ns > 0).sort((a, b) => idle(a) - idle(b) || b.ns - a.ns);
	$("time-note").textContent = `${duration(D.machine.seconds)} of the virtual processor from the guest's start. Translated code is what remains ` +
		"when all that is measured is taken away; callouts and the interpreter are estimated from every 16th.";
	for (const t of rows)
		$("time-bar").append(el("div", {style: `flex:${t.ns} 0 0; background:${timeColours[t.key]}`,
			...tips(`${t.text}\n${duration(t.ns / 1e9)}, ${percent(t.ns, all)}`)}));
	$("time-table").append(
		el("thead", {}, el("tr", {}, el("th"), el("th", {class: "num"}, "time"), el("th", {class: "num"}, "of all"), el("th", {class: "num"}, "of busy"))),
		el("tbody", {}, ...rows.map(t => el("tr", {"data-key": t.key, "data-ns": t.ns},
			el("td", {}, el("i", {class: "swatch", style: `background:${timeColours[t.key]}`}), t.text),
			el("td", {class: "num"}, duration(t.ns / 1e9)), el("td", {class: "num"}, percent(t.ns, all)),
			el("td", {class: "num"}, idle(t) ? "" : percent(t.ns, busy))))));
}

/* ---- events over time ---- */

const kindColours = {translate: "#3b7dd8", revive: "#2f9e77", invalidate: "#d0443c", evict: "#8b6f47", form: "#8e5bbf", gear: "#e08a2e",
	hidden: "#5b8aa6", fault: "#c94f7c", chain: "#4aa3a3", miss: "#a08a2e", callout: "#b05fb0", move: "#5f9e3d", interrupt: "#8793a5",
	refill: "#c28f5c", exit: "#b58a3a", "world-enter": "#2f9e77", "world-leave": "#57b894", "world-map": "#7fae4e", "world-lost": "#a32c2c"};

function histogram(slots, colour) {
	const most = slots.reduce((a, b) => Math.max(a, b), 0), n = slots.length;
	let d = "";
	slots.forEach((v, i) => {
		if (v)
			d += `M${i} 100V${(100 - Math.max(4, 96 * Math.sqrt(v / most))).toFixed(1)}H${i + 1}V100Z`;
	});
	return svg("svg", {viewBox: `0 0 ${n} 100`, preserveAspectRatio: "none"}, svg("path", {d, fill: colour}));
}

function axis(seconds) {
	const step = [1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 86400]
		.find(s => seconds / s <= 8) || 604800;
	const s = svg("svg", {});
	for (let k = 0; k * step < seconds * 0.96; k++)
		s.append(svg("text", {x: `${100 * k * step / seconds}%`, y: 14}, step < 1 ? `${+(k * step).toFixed(3)} s` : `${k * step} s`));
	return el("div", {class: "trow taxis"}, el("span"), s, el("span"));
}

function showTimeline() {
	const t = D.timeline, seconds = t.slot * t.kinds[0].slots.length;
	$("timeline-note").textContent = `From the creation of the cache on, ${duration(t.slot)} for each bar; heights by square root, each row by itself. ` +
		"Exceptions on the lean path are not seen, and chains, misses and callouts only while \"tc trace\" was on.";
	for (const k of t.kinds) {
		const sum = k.slots.reduce((a, b) => a + b, 0);
		if (!sum)
			continue;
		const picture = histogram(k.slots, kindColours[k.word] || "#888");
		picture.addEventListener("mousemove", e => {
			const box = picture.getBoundingClientRect(), i = Math.min(k.slots.length - 1, Math.floor((e.clientX - box.left) / box.width * k.slots.length));
			tip(e, `${k.word}: ${num(k.slots[i])}\nfrom ${duration(i * t.slot)} to ${duration((i + 1) * t.slot)}`);
		});
		picture.addEventListener("mouseleave", e => tip(e, ""));
		$("timeline-rows").append(el("div", {class: "trow", "data-kind": k.word, "data-total": sum, title: k.text.split(";")[0]},
			el("span", {}, el("i", {class: "swatch", style: `background:${kindColours[k.word] || "#888"}`}), k.word), picture,
			el("span", {class: "total"}, num(sum))));
	}
	$("timeline-rows").append(axis(seconds));
	showEvents();
}

/* A page of rows; `draw(from, to)` makes them. */
function pager(place, size, count, draw) {
	let page = 0;
	const show = to => {
		const pages = Math.max(1, Math.ceil(count() / size));
		page = Math.max(0, Math.min(to, pages - 1));
		draw(page * size, Math.min(count(), (page + 1) * size));
		place.replaceChildren(
			el("button", {type: "button", onclick: () => show(0), disabled: page ? null : ""}, "« first"),
			el("button", {type: "button", onclick: () => show(page - 1), disabled: page ? null : ""}, "‹ before"),
			el("span", {}, `page ${num(page + 1)} of ${num(pages)}`),
			el("button", {type: "button", onclick: () => show(page + 1), disabled: page < pages - 1 ? null : ""}, "next ›"),
			el("button", {type: "button", onclick: () => show(pages - 1), disabled: page < pages - 1 ? null : ""}, "last »"));
	};
	return show;
}

function showEvents() {
	const latest = D.events.slice().reverse(), body = el("tbody"), kinds = [...new Set(latest.map(e => e[1]))].sort((a, b) => a - b);
	const word = kind => D.timeline.kinds[kind].word, at = new Map();
	for (let i = 0; i < N; i++)
		if (!at.has(C.lin[i]) || heat(i) > heat(at.get(C.lin[i])))
			at.set(C.lin[i], i);
	let shown = latest;
	$("events").querySelector("summary").textContent = `${num(latest.length)} events: the last of each kind that are on record`;
	$("event-kind").append(el("option", {value: ""}, "all"), ...kinds.map(k => el("option", {value: k}, word(k))));
	$("event-table").append(el("thead", {}, el("tr", {}, el("th", {class: "num"}, "seconds"), el("th", {}, "event"), el("th", {}, "where"), el("th", {}, ""))), body);
	const show = pager($("event-pager"), 20, () => shown.length, (from, to) => body.replaceChildren(...shown.slice(from, to).map(([seconds, kind, lin, what]) => {
		const unit = at.get(lin);
		return el("tr", {}, el("td", {class: "num"}, seconds.toFixed(6)),
			el("td", {}, el("i", {class: "swatch", style: `background:${kindColours[word(kind)] || "#888"}`}), word(kind)),
			el("td", {class: "mono"}, word(kind) === "gear" ? "" : unit === undefined ? hex(lin) : el("a", {href: `#ccf=${C.id[unit]}`}, hex(lin))),
			el("td", {}, what));
	})));
	$("event-kind").addEventListener("change", e => {
		shown = latest.filter(([, kind]) => e.target.value === "" || kind === Number(e.target.value));
		show(0);
	});
	show(0);
}

/* ---- the heat map ---- */

const CELLS = 64, CELL = 12, ROWS_MAX = 64, LABEL = 92;
let map = {};

/* Cells as small as the picture has room for; rows without code are left out. */
function heatCells(addresses, value) {
	for (let size = 64; ; size *= 2) {
		const cells = new Map(), rows = new Set();
		for (let i = 0; i < N && rows.size <= ROWS_MAX; i++) {
			const at = Math.floor(addresses[i] / size);
			const cell = cells.get(at) || {value: 0, units: 0, best: i};
			cell.value += value(i);
			cell.units++;
			if (value(i) > value(cell.best))
				cell.best = i;
			cells.set(at, cell);
			rows.add(Math.floor(at / CELLS));
		}
		if (rows.size <= ROWS_MAX)
			return {size, cells, rows: [...rows].sort((a, b) => a - b)};
	}
}

function drawHeat() {
	const metric = metrics[$("heat-metric").value], space = $("heat-space").value;
	const {size, cells, rows} = heatCells(C[space], metric.value);
	const gap = n => n && rows[n] !== rows[n - 1] + 1 ? 5 : 0;
	const tops = [];
	let y = 4, most = 0, sum = 0;
	rows.forEach((row, n) => {
		y += gap(n);
		tops.push(y);
		y += CELL;
	});
	for (const c of cells.values()) {
		most = Math.max(most, c.value);
		sum += c.value;
	}
	const canvas = $("heat-map"), scale = devicePixelRatio || 1, width = LABEL + CELLS * CELL + 4;
	canvas.width = width * scale;
	canvas.height = (y + 4) * scale;
	canvas.style.width = `${width}px`;
	canvas.style.height = `${y + 4}px`;
	const g = canvas.getContext("2d"), style = getComputedStyle(document.body);
	g.scale(scale, scale);
	g.font = `11px ${style.getPropertyValue("--mono")}`;
	g.textBaseline = "middle";
	rows.forEach((row, n) => {
		g.fillStyle = style.getPropertyValue("--faint");
		if (CELL >= 11 || n % 2 === 0)
			g.fillText(hex(row * CELLS * size, 9), 4, tops[n] + CELL / 2);
		for (let k = 0; k < CELLS; k++) {
			const c = cells.get(row * CELLS + k);
			g.fillStyle = c ? css(heatColour(c.value, most)) : style.getPropertyValue("--soft");
			g.fillRect(LABEL + k * CELL, tops[n], CELL - 1, CELL - 1);
		}
	});
	map = {size, cells, rows, tops, space, metric};
	canvas.dataset.cells = cells.size;
	canvas.dataset.total = sum;
	canvas.dataset.cellBytes = size;
	$("heat-note").textContent = `Each square is ${bytes(size)}, each row ${bytes(size * CELLS)}; rows without translations are left out. ` +
		"Grey: nothing is translated there. Click a square for its units." +
		(D.counted ? "" : " Executions are shown when they are counted: -accel dbt,counts=on, or \"tc counts on\" in the debug monitor.");
	const ramp = [0, 0.25, 0.5, 0.75, 1].map(t => css(heatColour(Math.expm1(t * Math.log1p(1e6)), 1e6)));
	$("heat-legend").replaceChildren("0", el("i", {style: `background:linear-gradient(90deg, ${ramp.join(",")})`}),
		`${short(most)} ${$("heat-metric").value} a square, logarithmic`);
}

function cellAt(e) {
	const box = $("heat-map").getBoundingClientRect(), x = e.clientX - box.left - LABEL, y = e.clientY - box.top;
	const row = map.tops.findIndex(t => y >= t && y < t + CELL), k = Math.floor(x / CELL);
	if (row < 0 || k < 0 || k >= CELLS)
		return null;
	const at = map.rows[row] * CELLS + k;
	return {from: at * map.size, to: (at + 1) * map.size, cell: map.cells.get(at)};
}

function showHeat() {
	for (const [key, m] of Object.entries(metrics))
		$("heat-metric").append(el("option", {value: key}, m.text));
	$("heat-metric").addEventListener("change", drawHeat);
	$("heat-space").addEventListener("change", drawHeat);
	$("heat-map").addEventListener("mousemove", e => {
		const c = cellAt(e);
		tip(e, c && `${map.space === "gpa" ? "physical" : "linear"} ${hex(c.from)} – ${hex(c.to - 1)}\n` + (c.cell ?
			`${num(c.cell.value)} ${map.metric.text}, ${num(c.cell.units)} units\nhottest: CCF ${C.id[c.cell.best]} at ${hex(C.lin[c.cell.best])}` : "no translations"));
	});
	$("heat-map").addEventListener("mouseleave", e => tip(e, ""));
	$("heat-map").addEventListener("click", e => {
		const c = cellAt(e);
		if (!c || !c.cell)
			return;
		units.range = {space: map.space, from: c.from, to: c.to};
		listUnits();
		$("units").scrollIntoView();
	});
	drawHeat();
}

/* ---- the table of units ---- */

const COLUMNS = [
	{key: "id", text: "CCF", value: i => C.id[i], up: true},
	{key: "lin", text: "linear", value: i => C.lin[i], show: i => hex(C.lin[i]), mono: true, up: true},
	{key: "gpa", text: "physical", value: i => C.gpa[i], show: i => hex(C.gpa[i], 9), mono: true, up: true},
	{key: "executions", text: "executions", value: i => C.executions[i], counted: true},
	{key: "share", text: "share", value: i => C.executions[i] * C.insns[i], show: i => percent(C.executions[i] * C.insns[i], units.work), counted: true,
		title: "of all instructions executed in translated code"},
	{key: "samples", text: "samples", value: i => C.samples[i], title: "kicks that found it running"},
	{key: "insns", text: "insns", value: i => C.insns[i], title: "guest instructions"},
	{key: "guest", text: "guest B", value: i => C.guest[i]},
	{key: "host", text: "host B", value: i => C.host[i]},
	{key: "expansion", text: "expansion", value: i => C.host[i] / C.guest[i], show: i => (C.host[i] / C.guest[i]).toFixed(1)},
	{key: "chained", text: "chained to", value: i => chainedTo[i], title: "exits of others that lead here"},
	{key: "mode", text: "mode", value: i => C.mode[i], show: i => D.modes[C.mode[i]] || hex(C.mode[i], 1), left: true},
	{key: "flags", text: "state", value: i => C.flags[i], show: stateText, left: true},
].filter(c => D.counted || !c.counted);
const units = {order: [], sort: mainMetric, up: false, range: null, work: 0, here: -1, show: null};

function matches(i, text, number) {
	return !text || C.id[i] === number.decimal || (number.hex >= C.lin[i] && number.hex < C.lin[i] + C.guest[i]) || hex(C.lin[i]).startsWith(text);
}

function selectUnits() {
	const text = $("unit-find").value.trim().toLowerCase().replace(/^0x/, ""), filter = $("unit-filter").value, r = units.range;
	const number = {decimal: /^\d+$/.test(text) ? Number(text) : -1, hex: /^[0-9a-f]{1,8}$/.test(text) ? parseInt(text, 16) : -1};
	const passes = {
		all: () => true, live: i => !(C.flags[i] & DORMANT), dormant: i => C.flags[i] & DORMANT,
		supervisor: i => !(C.mode[i] & MODE_USER), user: i => C.mode[i] & MODE_USER, code: i => C.id[i] in CODE,
	}[filter];
	const found = [];
	for (let i = 0; i < N; i++)
		if (passes(i) && matches(i, text, number) && (!r || (C[r.space][i] >= r.from && C[r.space][i] < r.to)))
			found.push(i);
	return found;
}

function listUnits() {
	const column = COLUMNS.find(c => c.key === units.sort), sign = units.up ? 1 : -1;
	const keys = new Float64Array(N);
	for (let i = 0; i < N; i++)
		keys[i] = column.value(i);
	units.order = selectUnits().sort((a, b) => sign * (keys[a] - keys[b]) || a - b);
	$("unit-note").textContent = `${num(units.order.length)} of ${num(N)} units. The code of the ${num(Object.keys(CODE).length)} ` +
		`${D.counted ? "most executed" : "most often sampled"} ones (in the debug monitor "tc show" has that of all) is on this page.`;
	$("unit-range").replaceChildren(...(units.range ? [el("span", {class: "chip"},
		`${units.range.space === "gpa" ? "physical" : "linear"} ${hex(units.range.from)} – ${hex(units.range.to - 1)} `,
		el("button", {type: "button", title: "all addresses", onclick: () => { units.range = null; listUnits(); }}, "×"))] : []));
	units.show(0);
}

function unitRow(i) {
	return el("tr", {class: `link${i === units.here ? " here" : ""}`, "data-ccf": C.id[i], onclick: () => go(i)},
		...COLUMNS.map(c => {
			const text = c.show ? c.show(i) : num(c.value(i));
			return el("td", {class: `${c.left ? "" : "num"}${c.mono ? " mono" : ""}`},
				c.key === "id" ? el("a", {href: `#ccf=${C.id[i]}`}, C.id[i]) : text);
		}));
}

function showUnits() {
	const body = el("tbody"), head = el("tr");
	for (let i = 0; i < N; i++)
		units.work += C.executions[i] * C.insns[i];
	const redraw = () => head.replaceChildren(...COLUMNS.map(c => el("th", {
		class: `${c.left ? "" : "num"}${c.key === units.sort ? " sorted" : ""}`, "data-sort": c.key, title: c.title,
		onclick: () => {
			units.up = c.key === units.sort ? !units.up : !!c.up;
			units.sort = c.key;
			redraw();
			listUnits();
		},
	}, c.text + (c.key === units.sort ? units.up ? " ▲" : " ▼" : ""))));
	$("unit-table").append(el("thead", {}, head), body);
	units.show = pager($("unit-pager"), 20, () => units.order.length, (from, to) => body.replaceChildren(...units.order.slice(from, to).map(unitRow)));
	$("unit-find").addEventListener("input", listUnits);
	$("unit-filter").addEventListener("change", listUnits);
	redraw();
	listUnits();
}

/* ---- one unit: facts, chains, code ---- */

function go(i) {
	location.hash = `#ccf=${C.id[i]}`;
}

function showFacts(i) {
	const fact = (name, text, mono) => el("div", {}, el("span", {}, name), el("b", mono ? {class: "mono"} : {}, text));
	$("unit-facts").replaceChildren(...[
		fact("linear", hex(C.lin[i]), true), fact("physical", hex(C.gpa[i], 9), true),
		D.counted ? fact("executions", num(C.executions[i])) : null, fact("samples", num(C.samples[i])),
		fact("guest", `${count(C.insns[i], "instruction")}, ${count(C.guest[i], "byte")}`), fact("host", `${num(C.host[i])} bytes`),
		fact("mode", D.modes[C.mode[i]] || hex(C.mode[i], 1)), fact("state", stateText(i))].filter(Boolean));
}

const NODE = {width: 190, height: 42, gap: 14, column: 254, top: 26, incoming: 9};

/* In columns: whose exits lead to it, the unit, where it leads, and where that leads. Dashed: not chained. */
function layout(i) {
	const nodes = [], lines = [];
	const put = (column, row, unit, extra) => nodes.push({x: 8 + column * NODE.column, y: NODE.top + row * (NODE.height + NODE.gap), unit, ...extra}) - 1;
	const from = [...new Set(incoming.subarray(first[i], first[i + 1]))].filter(p => p !== i).sort((a, b) => heat(b) - heat(a) || a - b);
	const shown = from.slice(0, NODE.incoming), rows = shown.length + (from.length > shown.length ? 1 : 0);
	const out = exitsOf(i).filter(x => x.unit !== i), self = exitsOf(i).find(x => x.unit === i);
	const second = out.map(x => x.unit >= 0 ? exitsOf(x.unit) : []);
	const leaves = second.reduce((n, s) => n + Math.max(1, s.length), 0), height = Math.max(1, rows, leaves);
	const middle = put(1, (height - 1) / 2, i, {focus: true, loop: self && (self.chained ? "" : "open")});
	shown.forEach((p, n) => lines.push([put(0, n + (height - rows) / 2, p), middle, exitsOf(p).some(x => x.unit === i && x.chained)]));
	if (from.length > shown.length)
		put(0, shown.length + (height - rows) / 2, -1, {text: ["and", `${num(from.length - shown.length)} more`]});
	if (!C.exits[i])
		lines.push([middle, put(2, (height - 1) / 2, -1, {text: ["elsewhere", "by the branch table"]}), false]);
	let row = (height - leaves) / 2;
	out.forEach((x, n) => {
		const span = Math.max(1, second[n].length), node = put(2, row + (span - 1) / 2, x.unit, {target: x.target});
		lines.push([middle, node, x.chained]);
		second[n].forEach((y, k) => lines.push([node, put(3, row + k, y.unit, {target: y.target}), y.chained]));
		row += span;
	});
	return {nodes, lines, rows: height};
}

function drawNode(n) {
	const known = n.unit >= 0, colour = known ? heatColour(heat(n.unit), hottest) : null, ink = known ? inkOn(colour) : null;
	const g = svg("g", {class: `node${n.focus ? " focus" : ""}${known ? "" : " open"}`, transform: `translate(${n.x} ${n.y})`,
		...(known ? {"data-ccf": C.id[n.unit], tabindex: 0, role: "link", onclick: () => go(n.unit),
			onkeydown: e => e.key === "Enter" && go(n.unit),
			...tips(`CCF ${C.id[n.unit]} at ${hex(C.lin[n.unit])}\n${num(heat(n.unit))} ${mainMetric}\n${D.modes[C.mode[n.unit]] || ""}`)} : {})},
		svg("rect", {width: NODE.width, height: NODE.height, rx: 6, fill: known ? css(colour) : null}));
	if (n.text)
		n.text.forEach((t, k) => g.append(svg("text", {x: 10, y: 18 + 16 * k, class: "small"}, t)));
	else
		g.append(svg("text", {x: 10, y: 18, fill: ink}, known ? `${hex(C.lin[n.unit])}  #${C.id[n.unit]}` : hex(n.target)),
			svg("text", {x: 10, y: 34, class: "small", fill: ink},
				known ? `${C.insns[n.unit]} insns · ${short(heat(n.unit))} ${D.counted ? "times" : "samples"}` : "not translated"));
	if (n.loop !== undefined)
		g.append(svg("path", {class: n.loop || null, d: `M${NODE.width - 30} 0C${NODE.width - 30} -24 ${NODE.width - 80} -24 ${NODE.width - 80} -2`, "marker-end": "url(#arrow)"}));
	return g;
}

function showGraph(i) {
	const {nodes, lines, rows} = layout(i);
	const picture = svg("svg", {width: 16 + 3 * NODE.column + NODE.width, height: NODE.top + rows * (NODE.height + NODE.gap) + 4},
		svg("defs", {}, svg("marker", {id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto"},
			svg("path", {d: "M0 0L8 4L0 8Z"}))));
	["leads to it", "this unit", "leads to", "and from there"].forEach((text, n) =>
		picture.append(svg("text", {x: 8 + n * NODE.column, y: 14, class: "label"}, text)));
	for (const [a, b, chained] of lines) {
		const x1 = nodes[a].x + NODE.width, y1 = nodes[a].y + NODE.height / 2, x2 = nodes[b].x - 1, y2 = nodes[b].y + NODE.height / 2;
		picture.append(svg("path", {d: `M${x1} ${y1}C${x1 + 34} ${y1} ${x2 - 34} ${y2} ${x2} ${y2}`, class: chained ? null : "open", "marker-end": "url(#arrow)"}));
	}
	picture.append(...nodes.map(drawNode));
	$("unit-graph").replaceChildren(picture);
}

/* Which kind of reason it is, by its first words. */
const reasons = [[/^ident/, "#2f9e77"], [/^(window|stack, through)/, "#3b7dd8"], [/^look-up/, "#4aa3a3"], [/^callout/, "#d0443c"],
	[/^(chain|exit|indirect|to a stub|for the stub|within)/, "#e08a2e"], [/^vCPU/, "#8e5bbf"], [/^execution count/, "#8b6f47"],
	[/^(stack|address|operand)/, "#6f8fb5"]];

function whyCell(why) {
	const link = /^(.*to )(CCF (\d+))(.*)$/.exec(why), colour = (reasons.find(([r]) => r.test(why)) || [0, null])[1];
	const text = link && indexOf.has(Number(link[3])) ? [link[1], el("a", {href: `#ccf=${link[3]}`}, link[2]), link[4]] : [why];
	return el("td", {class: "why"}, el("div", {class: "tag", style: colour ? `--tag:${colour}` : null}, ...text));
}

function showCode(i) {
	const code = CODE[C.id[i]];
	if (!code) {
		$("unit-code-note").textContent = `The code of this unit is not on this page, only that of the hottest ${num(Object.keys(CODE).length)}. ` +
			`In the debug monitor: tc show 0x${hex(C.lin[i])}`;
		$("unit-code").replaceChildren();
		return;
	}
	$("unit-code-note").textContent = code.changed ? "The guest's code was changed since: its side shows what was there when the report was written." :
		"Guest code and what it became, with the reason for each host instruction.";
	$("unit-code").replaceChildren(
		el("thead", {}, el("tr", {}, el("th", {}, "guest"), el("th", {}, "host, by place in the cache"), el("th", {}, "why"))),
		el("tbody", {}, ...code.lines.map(([guest, off, host, why]) => {
			const split = /^([0-9a-f]{8})  (.*)$/.exec(guest);
			return el("tr", guest ? {class: "begin"} : {},
				el("td", {}, ...(split ? [el("span", {class: "at"}, `${split[1]}  `), split[2]] : [guest])),
				el("td", {}, ...(host ? [el("span", {class: "at"}, `${hex(off, 7)}  `), host] : [])), whyCell(why));
		})));
}

function showUnit(i) {
	units.here = i;
	$("unit").dataset.ccf = i < 0 ? "" : C.id[i];
	if (i < 0) {
		$("unit-facts").textContent = "Nothing has been translated.";
		return;
	}
	$("unit-title").textContent = `CCF ${C.id[i]} at ${hex(C.lin[i])}`;
	showFacts(i);
	showGraph(i);
	showCode(i);
	for (const row of document.querySelectorAll("#unit-table tbody tr"))
		row.classList.toggle("here", Number(row.dataset.ccf) === C.id[i]);
}

/* The hottest one at first; then the one that the fragment names. */
function follow(moved) {
	const m = /^#ccf=(\d+)$/.exec(location.hash);
	if (m && !indexOf.has(Number(m[1]))) {
		showUnit(units.order.length ? units.order[0] : -1);
		$("unit-title").textContent = `There is no CCF ${m[1]} in this report`;
	} else if (m) {
		showUnit(indexOf.get(Number(m[1])));
	} else if (!moved) {
		showUnit(units.order.length ? units.order[0] : -1);
	}
	if (m)
		$("unit").scrollIntoView();
}

function showCounters() {
	$("counter-table").append(el("tbody", {}, ...Object.entries(D.statistics).map(([name, [value, text]]) =>
		el("tr", {"data-name": name, "data-value": value}, el("td", {}, name), el("td", {class: "num"}, num(value)), el("td", {}, text)))));
}

showHead();
showTime();
showTimeline();
showHeat();
showUnits();
showCounters();
follow(false);
addEventListener("hashchange", () => follow(true));
dark.addEventListener("change", () => {
	drawHeat();
	if (units.here >= 0)
		showUnit(units.here);
});
document.body.dataset.ready = "yes";
})();
