// The settings that the curves are made with, and the numbers that come of them.
import { h, button, field, option } from "./dom.js";

export const SETTINGS = ["tau", "score_smooth_sigma", "audio_query", "multi_reduce", "scale_fusion", "L_sec", "row_windows"];

export class Settings {
  constructor(app) {
    this.app = app;
    this.link = app.link;
    const ask = (name, value) => this.link.ask(name, value), select = (name) => h("select", { onchange: (event) => ask(name, event.target.value) });
    const output = (name) => h("output", { for: `${app.id}-${name}`, "aria-live": "off" }); // the slider says it itself
    const range = (name, limits, act) => h("input", { type: "range", id: `${app.id}-${name}`, ...limits, oninput: act });
    this.tauSays = output("tau");
    this.smoothSays = output("smooth");
    this.tau = range("tau", { min: -2, max: 1, step: 0.02 }, () => ask("tau", Number((10 ** Number(this.tau.value)).toPrecision(3))));
    this.smooth = range("smooth", { min: 0, max: 2, step: 0.05 }, () => ask("score_smooth_sigma", Number(this.smooth.value)));
    this.query = select("audio_query");
    this.reduce = select("multi_reduce");
    this.fusion = select("scale_fusion");
    this.compare = select("compare");
    this.lengths = h("div", { class: "lengths" });
    const number = (hint) => h("input", { type: "number", min: 0.04, step: 0.01, title: hint, onchange: () => this.askWindows() });
    this.win = number("Length of the windows of the picture, in seconds");
    this.stride = number("A window of picture and sound every so many seconds");
    this.windowsField = h("div", {}, field("Picture windows (s)", this.win), field("One every (s)", this.stride));
    this.reduceField = field("Fuse queries by", this.reduce);
    this.fusionField = field("Fuse lengths by", this.fusion);
    this.metrics = h("table", { class: "metrics" });
    this.node = this.fieldset();
    this.link.on(SETTINGS.concat("compare").map((name) => `change:${name}`).join(" "), () => this.show());
    this.link.on("change:reading", () => this.read());
  }

  fieldset() {
    const slider = (words, node, shown, hint) => h("div", { class: "slider", title: hint }, h("label", { for: node.id }, words), shown, node);
    const tall = (...kids) => h("div", { class: "tall" }, ...kids);
    return h("fieldset", {}, h("legend", {}, "Settings"),
      slider("Temperature τ", this.tau, this.tauSays, "Low: the highest moment takes all. High: all moments alike. It moves no bare peak."),
      slider("Smoothing", this.smooth, this.smoothSays, "Standard deviation of a Gaussian over the scores, in seconds"),
      h("div", { class: "field", role: "group", "aria-label": "Lengths of sound windows, seconds" }, h("span", {}, "Sound windows"), this.lengths), this.windowsField,
      tall(field("Picture compared with the sound", this.query)), this.reduceField, this.fusionField, tall(field("Compare with", this.compare)),
      h("div", { class: "row" }, button("Pin to compare", () => this.link.timedWish("pin")),
        button("As in the run", () => this.link.timedWish("reset"), { title: "Put all settings back to those that the run was evaluated with" })));
  }

  show() {
    const get = (name) => this.link.get(name), { queries, fusions, comparisons } = get("choices"), available = get("clip").lengths ?? [];
    const rounded = (name) => String(Number(get(name).toPrecision(3)));
    if (document.activeElement !== this.tau) this.tau.value = Math.log10(get("tau"));
    if (document.activeElement !== this.smooth) this.smooth.value = get("score_smooth_sigma");
    this.tau.setAttribute("aria-valuetext", rounded("tau"));
    this.tauSays.textContent = rounded("tau");
    this.smooth.setAttribute("aria-valuetext", `${rounded("score_smooth_sigma")} seconds`);
    this.smoothSays.textContent = `${rounded("score_smooth_sigma")} s`;
    this.query.replaceChildren(...Object.entries(queries).map(([name, words]) => option(name, words, get("audio_query"))));
    this.reduce.replaceChildren(...fusions.map((name) => option(name, name, get("multi_reduce"))));
    this.fusion.replaceChildren(...fusions.map((name) => option(name, name, get("scale_fusion"))));
    this.compare.replaceChildren(...Object.entries(comparisons).map(([name, words]) => option(name, words, get("compare"))));
    this.reduceField.hidden = !["multi", "all"].includes(get("audio_query"));
    this.fusionField.hidden = get("L_sec").length < 2;
    this.showLengths(available, new Set(get("L_sec")));
    const windows = get("row_windows");
    this.windowsField.hidden = !windows.length; // what was embedded window by window has the windows that it has
    [this.win, this.stride].forEach((node, i) => { if (windows.length && document.activeElement !== node) node.value = windows[i]; });
    this.node.disabled = !available.length;
  }

  askWindows() {
    const known = this.link.get("row_windows");
    const asked = [this.win, this.stride].map((node, i) => (node.value = Number(node.value) > 0 ? Number(node.value) : known[i]));
    this.link.ask("row_windows", asked);
  }

  showLengths(available, chosen) {
    const focused = this.lengths.contains(document.activeElement) && document.activeElement.value;
    const checked = () => [...this.lengths.querySelectorAll("input:checked")].map((node) => Number(node.value));
    this.lengths.replaceChildren(...available.map((length) => {
      const box = h("input", { type: "checkbox", value: length, onchange: () => this.link.ask("L_sec", checked()) });
      box.checked = chosen.has(length);
      return h("label", { class: "check" }, box, `${length} s`);
    }));
    if (focused) this.lengths.querySelector(`input[value="${focused}"]`)?.focus();
  }

  // The sentence above the picture and the table beside it.
  read() {
    const { link, app } = this, { sentence, columns, metrics: rows, problem, n } = link.get("reading");
    app.saying.textContent = sentence;
    app.saying.classList.toggle("problem", Boolean(problem));
    const names = columns.map((name) => h("th", { scope: "col" }, name));
    const head = columns.length > 1 ? [h("thead", {}, h("tr", {}, h("th", {}, ""), ...names))] : [];
    const body = rows.map((row) => h("tr", { title: row.help }, h("th", { scope: "row" }, row.name), ...row.values.map((value) => h("td", {}, value))));
    this.metrics.replaceChildren(h("caption", {}, rows.length ? "This clip" : ""), ...head, h("tbody", {}, ...body));
    link.arrived();
    requestAnimationFrame(() => {
      if (link.asked) app.root.dataset.redrawMs = (performance.now() - link.asked).toFixed(1);
      link.asked = 0;
      app.root.dataset.drawn = n;
    });
    app.timeline.follow();
  }
}
