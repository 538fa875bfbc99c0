// Clips as points, by any two of their numbers: a click shows a clip, a box keeps those inside it in the list.
import { h, button, clamp, field, option, svg } from "./dom.js";

const WIDTH = 264, HEIGHT = 210, LEFT = 40, RIGHT = 256, TOP = 8, FOOT = 190; // of the drawing and its axes
const NUDGE = 4, NEAR = 12; // a click that moves, a click beside a point

export class Scatter {
  constructor(app) {
    this.app = app;
    this.link = app.link;
    const axis = () => h("select", { onchange: () => this.draw() });
    [this.x, this.y] = [axis(), axis()];
    this.drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
    this.left = h("p", { class: "quiet left", hidden: true });
    this.all = button("All clips again", () => this.app.list.keep({}));
    this.node = h("details", { class: "scatter", ontoggle: () => this.draw() }, h("summary", {}, "Scatter of the clips"),
      field("Upwards", this.y), field("To the right", this.x), this.drawing, this.left, h("p", { class: "quiet" }, "A click shows a clip, a box keeps those in it."), this.all);
    this.points = [];
    this.corners = null; // of the box that is being drawn
    this.drawing.addEventListener("pointerdown", (event) => this.down(event));
    this.drawing.addEventListener("pointermove", (event) => this.move(event));
    this.drawing.addEventListener("pointerup", () => this.up());
    this.drawing.addEventListener("pointercancel", () => this.abandon());
    this.link.on("change:choices change:rows", () => this.fill());
    this.link.on("change:order change:picker change:video_id", () => this.draw());
  }

  // The numbers that some clip has.
  fill() {
    const rows = this.link.get("rows"), known = Object.entries(this.link.get("choices").sorts).filter(([name]) => rows.some((row) => typeof row[name] === "number"));
    this.node.hidden = known.length < 2;
    for (const [node, usual] of [[this.x, "confidence"], [this.y, "dist"]]) {
      const value = node.value || usual;
      node.replaceChildren(...known.map(([name, words]) => option(name, words, value)));
    }
    this.draw();
  }

  ends(name) {
    const values = this.link.get("rows").map((row) => row[name]).filter((value) => value != null);
    const low = values.reduce((a, b) => Math.min(a, b), Infinity), high = values.reduce((a, b) => Math.max(a, b), -Infinity);
    return high > low ? [low, high] : [low - 0.5, low + 0.5];
  }

  // ---- drawing: as many elements for four thousand clips as for four

  draw() {
    if (!this.node.open || this.node.hidden) return;
    const rows = this.link.get("rows"), kept = new Set(this.link.get("order")), current = this.link.get("video_id");
    [this.xs, this.ys] = [this.ends(this.x.value), this.ends(this.y.value)];
    this.points = rows.flatMap((row, at) => (row[this.x.value] == null || row[this.y.value] == null ? [] : [{ row, kept: kept.has(at), ...this.place(row[this.x.value], row[this.y.value]) }]));
    const dots = (some) => some.map(({ px, py }) => `M${px.toFixed(1)},${py.toFixed(1)}h0`).join(""), here = this.points.find(({ row }) => row.video_id === current);
    this.drawing.replaceChildren(svg("path", { class: "frame", d: `M${LEFT},${TOP}V${FOOT}H${RIGHT}` }), ...this.numbers(),
      svg("path", { class: "dots out", d: dots(this.points.filter((point) => !point.kept)) }), svg("path", { class: "dots", d: dots(this.points.filter((point) => point.kept)) }),
      ...(here ? [svg("circle", { class: "here", cx: here.px, cy: here.py, r: 5 })] : []), ...this.boxes());
    const words = ({ selectedOptions: [chosen] }) => chosen?.textContent ?? "";
    this.drawing.setAttribute("aria-label", `${this.points.length} clips by ${words(this.y)} and ${words(this.x)}. The list can be sorted by either.`);
    this.left.textContent = this.leftOut(rows, words);
    this.left.hidden = !this.left.textContent;
    this.all.hidden = !Object.keys(this.link.get("picker").within ?? {}).length;
  }

  // Clips that lack a number have no place: how many, which number, and how the list calls them.
  leftOut(rows, words) {
    const lacks = (axis) => (row) => row[axis.value] == null, axes = this.x.value === this.y.value ? [this.y] : [this.y, this.x];
    const left = rows.filter((row) => axes.some((axis) => lacks(axis)(row))), statuses = {};
    if (!left.length) return "";
    for (const { status } of left) statuses[status] = (statuses[status] ?? 0) + 1;
    const without = axes.map((axis) => [rows.filter(lacks(axis)).length, axis]).filter(([n]) => n).map(([n, axis]) => `${n} without ${words(axis)}`);
    const called = Object.entries(statuses).sort(([, a], [, b]) => b - a).map(([status, n]) => `${status} ${n}`);
    return `${left.length} of ${rows.length} clips not shown: ${without.join(", ")}. Their status: ${called.join(", ")}.`;
  }

  place(x, y) {
    const along = (value, [low, high], from, to) => clamp(from + (value - low) / (high - low) * (to - from), Math.min(from, to), Math.max(from, to));
    return { px: along(x, this.xs, LEFT, RIGHT), py: along(y, this.ys, FOOT, TOP) };
  }

  value({ px, py }) {
    const [a, b] = this.xs, [c, d] = this.ys;
    return [a + (px - LEFT) / (RIGHT - LEFT) * (b - a), c + (FOOT - py) / (FOOT - TOP) * (d - c)];
  }

  numbers() {
    const text = (x, y, value, anchor) => svg("text", { x, y, "text-anchor": anchor }, String(Number(value.toPrecision(3))));
    return [text(LEFT, FOOT + 14, this.xs[0], "start"), text(RIGHT, FOOT + 14, this.xs[1], "end"), text(LEFT - 4, FOOT, this.ys[0], "end"), text(LEFT - 4, TOP + 8, this.ys[1], "end")];
  }

  // What is kept, as far as it is of these numbers, or the box that is being drawn.
  boxes() {
    const { [this.x.value]: xs, [this.y.value]: ys } = this.link.get("picker").within ?? {};
    const corners = this.corners ?? (xs && ys && [this.place(xs[0], ys[0]), this.place(xs[1], ys[1])]);
    if (!corners) return [];
    const [[left, right], [top, foot]] = ["px", "py"].map((name) => corners.map((corner) => corner[name]).sort((a, b) => a - b));
    return [svg("rect", { class: "mark", x: left, y: top, width: right - left, height: foot - top })];
  }

  // ---- pointers

  at(event) {
    const box = this.drawing.getBoundingClientRect();
    return { px: clamp((event.clientX - box.left) / box.width * WIDTH, LEFT, RIGHT), py: clamp((event.clientY - box.top) / box.height * HEIGHT, TOP, FOOT) };
  }

  down(event) {
    if (event.button || !event.isPrimary) return;
    this.drawing.setPointerCapture(event.pointerId);
    this.corners = [this.at(event), this.at(event)];
  }

  move(event) {
    if (!this.corners) return;
    this.corners[1] = this.at(event);
    this.draw();
  }

  up() {
    if (!this.corners) return;
    const [from, to] = this.corners;
    this.corners = null;
    if (Math.hypot(from.px - to.px, from.py - to.py) < NUDGE) this.show(from);
    else {
      const [a, b] = [this.value(from), this.value(to)], span = (axis) => [a[axis], b[axis]].sort((low, high) => low - high);
      this.app.list.keep({ [this.x.value]: span(0), [this.y.value]: span(1) });
    }
    this.draw();
  }

  // No box after all. Whether there was one.
  abandon() {
    const drawn = this.corners !== null;
    this.corners = null;
    if (drawn) this.draw();
    return drawn;
  }

  // The clip whose point is nearest; those that the list has go first.
  show({ px, py }) {
    const near = this.points.map((point) => ({ ...point, away: Math.hypot(point.px - px, point.py - py) })).filter(({ away }) => away <= NEAR);
    const [first] = near.sort((a, b) => b.kept - a.kept || a.away - b.away);
    if (first) this.app.list.choose(first.row.video_id);
  }
}
