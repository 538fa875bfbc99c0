// Events that the reader marks. The span that is being chosen waits with its clip until it is saved. What is saved is the kernel's, and so is its undoing.
import { h, button, field, option, seconds } from "./dom.js";

const NOTHING = [null, null];
const SAVED = "saved"; // a step that the kernel undoes

export class Marks {
  constructor(app) {
    this.app = app;
    this.link = app.link;
    this.draft = NOTHING; // start and end; either may be missing
    this.drafts = {}; // those that are not saved, by clip
    this.chosen = null; // the number of a mark
    this.pulled = null; // the span that is being dragged
    this.past = []; // steps that can be undone: SAVED, or the draft before the step
    this.future = []; // and those that were undone
    this.offered = ""; // the label that was written without being asked
    this.label = h("input", { type: "text", list: `${app.id}-labels`, "aria-label": "What the event is" });
    this.labels = h("datalist", { id: `${app.id}-labels` });
    this.bounds = h("span", { class: "bounds", role: "status" });
    this.list = h("ul", { class: "marks" });
    this.save = button("Save event (m)", () => this.store(), { class: "main" });
    this.node = this.fieldset();
    this.leaving = (event) => { if (this.savable() && (this.started() || Object.keys(this.drafts).length)) event.preventDefault(); };
    window.addEventListener("beforeunload", this.leaving);
    this.link.on("change:marks", () => this.show());
    this.link.on("change:said", () => this.answered());
  }

  fieldset() {
    const row = (...kids) => h("div", { class: "row" }, ...kids);
    return h("fieldset", { class: "annotate" }, h("legend", {}, "Mark events"), field("Label", this.label), this.labels,
      row(button("Starts here (i)", () => this.begin()), button("Ends here (o)", () => this.finish()), this.bounds),
      row(this.save, button("No event in this clip", () => this.link.wish("no_event"))), this.list,
      row(button("Undo", () => this.undo(), { title: "ctrl z" }), button("Redo", () => this.redo(), { title: "ctrl shift z, or ctrl y" }),
        button("‹ mark", () => this.step(-1), { title: "To the previous mark (P)", "aria-label": "Previous mark" }),
        button("mark ›", () => this.step(1), { title: "To the next mark (N)", "aria-label": "Next mark" }),
        button("▶ to its end (e)", () => this.play(), { title: "Play the chosen span or mark, up to its end" })));
  }

  savable() { return Boolean(this.link.get("choices").save_csv); }

  // ---- the span that is being chosen

  started() { return this.draft.some((t) => t !== null); }

  // What is framed from top to bottom of the timeline, if it is whole: the span, and the mark that it is of, null where it is not saved.
  framed() {
    const [start, end] = this.draft;
    if (this.started()) return start === null || end === null ? null : { span: [start, end], mark: null };
    const mark = this.chosen === null ? null : this.link.get("marks")[this.chosen];
    return mark && mark[1] !== null ? { span: mark.slice(1), mark: this.chosen } : null;
  }

  // What of it is to be seen at a moment: a start alone reaches to the playhead.
  spanAt(t) {
    const [start, end] = this.draft;
    return this.pulled ?? this.framed()?.span ?? (start === null ? null : [start, end ?? Math.max(start, t)]);
  }

  preview(span) {
    this.pulled = span;
    this.app.timeline.follow();
  }

  setDraft(start, end) {
    this.past.push(this.draft);
    this.future = [];
    this.put([start, end]);
  }

  put(draft) {
    this.draft = draft;
    if (this.started()) this.chosen = null;
    this.showDraft();
  }

  begin() {
    const t = this.app.player.now(), end = this.draft[1];
    this.setDraft(t, end !== null && end <= t ? null : end);
  }

  finish() {
    const t = this.app.player.now(), start = this.draft[0];
    this.setDraft(start !== null && start >= t ? null : start, t);
  }

  letGo() {
    if (this.started()) this.setDraft(...NOTHING);
    this.choose(null);
  }

  showDraft() {
    const written = (t) => (t === null ? "…" : seconds(t)), [start, end] = this.draft;
    this.bounds.textContent = this.started() ? `${written(start)} to ${written(end)}` : "";
    this.save.disabled = start === null || end === null;
    this.showChosen();
  }

  // ---- marks: choose, hear, go from one to the next

  choose(n) {
    if (n !== null && this.started()) this.setDraft(...NOTHING);
    this.chosen = n;
    this.showChosen();
  }

  showChosen() {
    [...this.list.children].forEach((row, n) => row.classList.toggle("chosen", n === this.chosen));
    this.app.timeline.follow();
  }

  inOrder() {
    return this.link.get("marks").map(([, start, end], n) => ({ n, start, end })).filter(({ start }) => start !== null).sort((a, b) => a.start - b.start);
  }

  step(by) {
    const t = this.app.player.now(), there = this.inOrder().filter(({ start }) => (start - t) * by > 0.02), next = there.at(by > 0 ? 0 : -1);
    if (!next) { this.app.tell(`There is no mark ${by > 0 ? "after" : "before"} this moment.`); return; }
    this.app.player.jump(next.start);
    this.choose(next.n);
  }

  // The chosen span or mark, else the mark or the annotated event at the playhead.
  play(n = null) {
    if (n !== null) this.choose(n);
    const t = this.app.player.now(), annotated = this.link.get("clip").events.map(([start, end]) => ({ start, end }));
    const here = [...this.inOrder(), ...annotated].find(({ start, end }) => start <= t && t <= end);
    const span = this.framed()?.span ?? (here && [here.start, here.end]);
    if (span) this.app.player.playSpan(span);
    else this.app.tell("Choose a span or a mark first: drag over the timeline, or click on a mark.");
  }

  // ---- what is saved, all of which the kernel does

  store() {
    const [start, end] = this.draft;
    if (start === null || end === null) this.app.tell("Drag over the timeline, or press i where the event starts and o where it ends; then m.");
    else this.link.wish("mark", { start, end, label: this.label.value });
  }

  change(n, [start, end] = this.link.get("marks")[n].slice(1), label = this.link.get("marks")[n][0]) {
    this.link.wish("change", { n, start, end, label });
    this.choose(n);
  }

  removeChosen() {
    if (this.chosen === null) this.app.tell("Click on a mark first.");
    else this.link.wish("unmark", { n: this.chosen });
  }

  undo() { this.takeBack(this.past, this.future, "undo"); }
  redo() { this.takeBack(this.future, this.past, "redo"); }

  takeBack(from, to, what) {
    const last = from.at(-1);
    if (last === undefined || last === SAVED) { this.link.wish(what); return; }
    to.push(this.draft);
    this.put(from.pop());
  }

  answered() {
    const { text, done, step } = this.link.get("said");
    if (text) this.app.tell(text);
    this.link.arrived();
    if (done) { // the steps in which the span was chosen are one with its being saved
      this.past.splice(this.past.findLastIndex((one) => one === SAVED) + 1);
      this.put(NOTHING);
    }
    const [from, to] = step === "undo" ? [this.past, this.future] : [this.future, this.past];
    if (step === "do") this.future = [];
    if (step && from.at(-1) === SAVED) from.pop();
    if (step) to.push(SAVED);
    else if (text) this.show(); // what was refused is written as it is
    this.past = this.past.slice(-500);
  }

  show() {
    const { labels, save_csv } = this.link.get("choices"), marks = this.link.get("marks"), held = this.list.contains(document.activeElement);
    this.labels.replaceChildren(...labels.map((name) => option(name, name)));
    this.node.disabled = this.node.hidden = !save_csv;
    this.node.querySelector("legend").textContent = `Mark events, saved in ${save_csv}`;
    if (marks.length !== this.list.children.length) this.chosen = null; // its number may be another's now
    this.list.replaceChildren(...marks.map((mark, n) => this.row(mark, n)));
    this.showChosen();
    if (held) (this.list.querySelector("button") ?? this.label).focus(); // the keyboard is not sent back to the start of the page
  }

  row([label, start, end], n) {
    const words = start === null ? `no event (${label})` : `${label}: ${seconds(start)} to ${seconds(end)}`;
    const once = (event) => event.detail < 2 && this.link.wish("unmark", { n }); // the second of two quick clicks meets the row below
    const remove = button("×", once, { title: "Delete", "aria-label": `Delete ${words}` });
    if (start === null) return h("li", { title: words }, h("span", {}, words), remove);
    const name = h("input", { type: "text", value: label, list: `${this.app.id}-labels`, "aria-label": `Label of ${words}` });
    name.addEventListener("change", () => this.change(n, undefined, name.value));
    const go = button(`${start.toFixed(2)}–${end.toFixed(2)}`, () => { this.app.player.jump(start); this.choose(n); }, { title: "Go there", "aria-label": `Go to ${words}` });
    return h("li", { title: words }, name, go, button("▶", () => this.play(n), { title: "Play up to its end", "aria-label": `Play ${words}` }), remove);
  }

  // ---- from clip to clip

  // What is to be told about bounds that stay behind.
  leave() {
    const { video_id } = this.link.get("clip"), words = this.bounds.textContent, kept = this.started() && this.savable();
    if (kept) this.drafts[video_id] = this.draft;
    for (const steps of [this.past, this.future]) steps.splice(0, Infinity, ...steps.filter((one) => one === SAVED));
    this.chosen = null;
    this.put(NOTHING);
    return kept ? `Not saved yet: ${words} in ${video_id}. It waits there.` : "";
  }

  arrive(clip) {
    const draft = this.drafts[clip.video_id] ?? NOTHING, usual = clip.events.length ? clip.label.split(/(?<!\s)\|(?!\s)/)[0] : "";
    delete this.drafts[clip.video_id];
    if (!this.label.value || this.label.value === this.offered) this.label.value = usual;
    this.offered = usual;
    this.put(draft);
  }

  close() { window.removeEventListener("beforeunload", this.leaving); }
}
