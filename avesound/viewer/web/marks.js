// Events that the reader marks. Bounds that are not saved yet wait with their clip; a mark that was deleted can be put back until the next clip.
import { h, button, field, option, seconds } from "./dom.js";

const NOTHING = [null, null];

export class Marks {
  constructor(app) {
    this.app = app;
    this.link = app.link;
    this.draft = NOTHING; // start and end; either may be missing
    this.drafts = {}; // those that are not saved, by clip
    this.deleted = null; // [label, start, end], to be put back
    this.offered = ""; // the label that was written without being asked
    this.label = h("input", { type: "text", list: `${app.id}-labels`, "aria-label": "What the event is" });
    this.labels = h("datalist", { id: `${app.id}-labels` });
    this.bounds = h("span", { class: "bounds", role: "status" });
    this.list = h("ul", { class: "marks" });
    this.save = button("Save event (m)", () => this.store(), { class: "main" });
    this.node = this.fieldset();
    this.leaving = (event) => { if (this.started() || Object.keys(this.drafts).length) event.preventDefault(); };
    window.addEventListener("beforeunload", this.leaving);
    this.link.on("change:marks", () => this.show());
    this.link.on("change:said", () => this.answered());
  }

  fieldset() {
    const row = (...kids) => h("div", { class: "row" }, ...kids);
    return h("fieldset", { class: "annotate" }, h("legend", {}, "Mark events"), field("Label", this.label), this.labels,
      row(button("Starts here (i)", () => this.begin()), button("Ends here (o)", () => this.finish()), this.bounds),
      row(this.save, button("No event in this clip", () => this.link.wish("no_event"))), this.list);
  }

  // ---- the bounds that are being chosen

  started() { return this.draft.some((t) => t !== null); }

  // What of it is to be seen at a moment: a start alone reaches to the playhead.
  spanAt(t) {
    const [start, end] = this.draft;
    return start === null ? null : [start, end ?? Math.max(start, t)];
  }

  setDraft(start, end) {
    this.draft = [start, end];
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

  showDraft() {
    const written = (t) => (t === null ? "…" : seconds(t)), [start, end] = this.draft;
    this.bounds.textContent = this.started() ? `${written(start)} to ${written(end)}` : "";
    this.save.disabled = start === null || end === null;
    this.app.timeline.follow();
  }

  // ---- what is saved, all of which the kernel does

  store() {
    const [start, end] = this.draft;
    if (start === null || end === null) this.app.tell("Press i where the event starts and o where it ends, then m.");
    else this.link.wish("mark", { start, end, label: this.label.value });
  }

  remove(n) {
    this.deleted = this.link.get("marks")[n];
    this.link.wish("unmark", { n });
  }

  putBack() {
    const [label, start, end] = this.deleted;
    this.deleted = null;
    if (start === null) this.link.wish("no_event");
    else this.link.wish("mark", { start, end, label });
  }

  answered() {
    const { text, done } = this.link.get("said");
    this.app.tell(text);
    this.link.arrived();
    if (done) this.setDraft(...NOTHING);
  }

  show() {
    const { labels, save_csv } = this.link.get("choices"), held = this.list.contains(document.activeElement);
    this.labels.replaceChildren(...labels.map((name) => option(name, name)));
    this.node.disabled = this.node.hidden = !save_csv;
    this.node.querySelector("legend").textContent = `Mark events, saved in ${save_csv}`;
    const back = this.deleted && h("li", {}, button("Put back what was deleted", () => this.putBack()));
    this.list.replaceChildren(...this.link.get("marks").map((mark, n) => this.row(mark, n)), ...[back].filter(Boolean));
    if (held) (this.list.querySelector("button") ?? this.label).focus(); // the keyboard is not sent back to the start of the page
  }

  row([label, start, end], n) {
    const words = start === null ? `no event (${label})` : `${label}: ${seconds(start)} to ${seconds(end)}`;
    const go = start === null ? null : button("Go", () => this.app.player.jump(start), { "aria-label": `Go to ${words}` });
    return h("li", {}, words, " ", button("Delete", () => this.remove(n), { "aria-label": `Delete ${words}` }), go);
  }

  // ---- from clip to clip

  // What is to be told about bounds that stay behind.
  leave() {
    if (!this.started()) return "";
    const { video_id } = this.link.get("clip"), words = this.bounds.textContent;
    this.drafts[video_id] = this.draft;
    this.setDraft(...NOTHING);
    return `Not saved yet: ${words} in ${video_id}. It waits there.`;
  }

  arrive(clip) {
    const draft = this.drafts[clip.video_id] ?? NOTHING, usual = clip.events.length ? clip.label.split("|")[0] : "";
    delete this.drafts[clip.video_id];
    this.deleted = null;
    if (!this.label.value || this.label.value === this.offered) this.label.value = usual;
    this.offered = usual;
    this.setDraft(...draft);
  }

  close() { window.removeEventListener("beforeunload", this.leaving); }
}
