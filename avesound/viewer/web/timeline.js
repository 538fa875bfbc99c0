// Lanes on one time axis. The wheel with ctrl (or a pinch on a pad) zooms.
import { h, axisOf, button, clamp, option } from "./dom.js";
import { Drag } from "./drag.js";

export class Timeline {
  constructor(app) {
    this.app = app;
    this.link = app.link;
    this.sound = h("div", { class: "lane-sound" });
    this.curves = h("div", { class: "lane-curves" });
    this.head = h("div", { class: "playhead" });
    this.looped = h("div", { class: "looped", hidden: true });
    this.marking = h("div", { class: "marking", hidden: true });
    this.node = h("div", { class: "timeline", role: "slider", tabindex: 0, "aria-label": "Moment in the clip", "aria-valuemin": 0 },
      this.sound, this.curves, this.looped, this.marking, this.head);
    this.pan = h("input", { type: "range", class: "pan", "aria-label": "Part of the clip in view", step: "any", oninput: () => this.panned() });
    this.legend = h("div");
    this.drag = new Drag(app, this);
    this.kind = h("select", { "aria-label": "How the sound is shown", onchange: () => this.link.put("sound_kind", this.kind.value) },
      option("waveform", "waveform", ""), option("mel", "mel spectrogram", ""));
    this.listen();
  }

  transport() {
    const { play, clock, speed, looping } = this.app.player;
    const zoom = h("span", { class: "zoom", role: "group", "aria-label": "Zoom" }, button("−", () => this.zoom(2), { "aria-label": "Zoom out" }),
      button("+", () => this.zoom(0.5), { "aria-label": "Zoom in" }), button("all", () => this.whole(), { "aria-label": "Show the whole clip" }));
    return h("div", { class: "transport" }, play, clock, speed, looping, this.kind, zoom);
  }

  listen() {
    this.node.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.node.addEventListener("focus", () => this.speak());
    this.link.on("change:sound", () => this.redraw("sound"));
    this.link.on("change:curves", () => this.redraw("curves"));
    this.link.on("change:legend", () => this.fill("legend"));
    this.link.on("change:span", () => this.showSpan());
    this.link.on("change:sound_kind", () => { this.kind.value = this.link.get("sound_kind"); });
    this.sized = new ResizeObserver(() => this.measure());
    this.sized.observe(this.node);
  }

  fill(name) { this.app.fill(this[name], name); }

  redraw(name) {
    this.fill(name);
    this.link.arrived();
    this.follow();
  }

  measure() {
    const width = Math.round(this.node.clientWidth / 8) * 8;
    if (width >= 240 && width !== this.link.get("width")) this.link.put("width", width);
  }

  // ---- places and moments

  // Where a moment stands, in per cent of the width; moments out of view are held at the edge.
  place(t) {
    const [left, right] = axisOf(this.sound), [a, b] = this.link.get("span");
    return 100 * (left + clamp((t - a) / (b - a), 0, 1) * (right - left));
  }

  moment(event) {
    const box = this.node.getBoundingClientRect(), [left, right] = axisOf(this.sound), [a, b] = this.link.get("span");
    return clamp(a + ((event.clientX - box.left) / box.width - left) / (right - left) * (b - a), 0, this.app.player.duration());
  }

  cover(node, span) {
    const [a, b] = this.link.get("span");
    node.hidden = !span || span[1] < a || span[0] > b;
    if (node.hidden) return;
    node.style.left = `${this.place(span[0])}%`;
    node.style.width = `${this.place(span[1]) - this.place(span[0])}%`;
  }

  // Everything that moves with time is put where it belongs.
  follow() {
    const { player, marks, matrix } = this.app, { paused } = player.video, t = player.now(), [a, b] = this.link.get("span");
    this.head.style.left = `${this.place(t)}%`;
    this.head.hidden = t < a - 1e-6 || t > b + 1e-6;
    if (this.head.hidden && player.hasMedia() && !paused && t > b) this.link.put("span", [t, t + b - a]);
    player.clock.textContent = `${t.toFixed(2)} / ${player.duration().toFixed(2)} s`;
    matrix.follow(t, player.duration());
    this.cover(this.looped, player.loop);
    this.cover(this.marking, marks.spanAt(t));
    this.marking.classList.toggle("saved", marks.chosen !== null);
    if (paused || player.wanted !== null) this.speak(); // while it plays, a screen reader lets the clip be heard
  }

  speak() {
    const { player } = this.app, t = player.now(), reading = this.link.get("reading"), { events } = this.link.get("clip");
    const cell = reading.starts ? reading.starts.findLastIndex((start) => start <= t) : -1;
    const inside = events.some(([start, end]) => start <= t && t < end);
    const words = [`${t.toFixed(2)} of ${player.duration().toFixed(2)} seconds`];
    if (events.length) words.push(inside ? "inside the annotated event" : "outside the annotated event");
    if (cell >= 0) words.push(`probability ${reading.density[cell].toFixed(2)} per second`);
    this.node.setAttribute("aria-valuemax", player.duration().toFixed(2));
    this.node.setAttribute("aria-valuenow", t.toFixed(2));
    this.node.setAttribute("aria-valuetext", words.join(", "));
  }

  // With ctrl the wheel zooms, sideways it pans; else the page scrolls.
  wheel(event) {
    const [a, b] = this.link.get("span"), across = Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (event.ctrlKey) this.zoom(Math.exp(event.deltaY / 200), this.moment(event));
    else if (across && b - a < this.app.player.duration() - 1e-6) this.view(a + event.deltaX / 800 * (b - a), b - a);
    else return;
    event.preventDefault();
  }

  // ---- the part in view

  view(start, length) {
    const duration = this.app.player.duration();
    length = clamp(length, Math.min(0.2, duration), duration);
    start = clamp(start, 0, duration - length);
    this.link.put("span", [start, start + length]);
  }

  whole() { this.view(0, this.app.player.duration()); }

  zoom(by, about = this.app.player.now()) {
    const [a, b] = this.link.get("span");
    about = clamp(about, a, b);
    this.view(about - (about - a) * by, (b - a) * by);
  }

  bring(t) {
    const [a, b] = this.link.get("span");
    if (t < a || t > b) this.view(t - (b - a) / 2, b - a);
  }

  panned() {
    const [a, b] = this.link.get("span"), start = Number(this.pan.value);
    this.link.put("span", [start, start + b - a]);
  }

  showSpan() {
    const [a, b] = this.link.get("span"), duration = this.app.player.duration();
    this.pan.style.visibility = b - a >= duration - 1e-6 ? "hidden" : "visible";
    this.pan.max = duration - (b - a);
    this.pan.min = 0;
    if (document.activeElement !== this.pan) this.pan.value = a;
    this.follow();
  }

  close() { this.sized.disconnect(); }
}
