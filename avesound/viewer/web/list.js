// The list of clips: search, filters, and as many rows as are in view, for there may be thousands.
import { h, button, field, option } from "./dom.js";

const ROW = 40; // height of a clip, px
const TYPING_MS = 150;

export class ClipList {
  constructor(app) {
    this.app = app;
    this.link = app.link;
    this.typing = 0;
    this.within = {}; // what the scatter keeps: lowest and highest value, by number
    const pick = () => this.pick();
    this.search = h("input", { type: "search", placeholder: "Search clips  ( / )", "aria-label": "Search clips by id or label" });
    this.search.addEventListener("input", () => { clearTimeout(this.typing); this.typing = setTimeout(pick, TYPING_MS); });
    this.filters = Object.fromEntries(["label", "split", "status", "partial", "sort"].map((name) => [name, h("select", { onchange: pick })]));
    this.falling = h("input", { type: "checkbox", onchange: pick });
    this.count = h("span", { class: "quiet", role: "status" });
    this.sizer = h("div", { class: "sizer" });
    this.list = h("div", { class: "list", role: "listbox", tabindex: 0, "aria-label": "Clips", onscroll: () => this.draw() }, this.sizer);
    this.chooser = button("", () => this.open(!this.node.classList.contains("open")), { class: "choose", "aria-expanded": "false" });
    this.node = this.nav();
    this.link.on("change:rows change:order", () => this.reveal());
  }

  nav() {
    const { label, split, status, partial, sort } = this.filters;
    const narrow = h("div", { class: "narrow" }, button("‹", () => this.step(-1), { "aria-label": "Previous clip" }), this.chooser,
      button("›", () => this.step(1), { "aria-label": "Next clip" }));
    return h("nav", { class: "clips", "aria-label": "Choose a clip" }, narrow, this.search,
      h("details", {}, h("summary", {}, "Filter and sort"), field("Class", label), field("Split", split), field("Status", status),
        field("Events", partial), field("Sort by", sort), h("label", { class: "check" }, this.falling, "highest first")), this.count, this.list);
  }

  // Where there is little room, the list is unfolded to choose from, and folded when that is done.
  open(open) {
    this.node.classList.toggle("open", open);
    this.chooser.setAttribute("aria-expanded", String(open));
    this.reveal();
  }

  pick() {
    const { label, split, status, partial, sort } = this.filters;
    this.link.put("picker", {
      search: this.search.value, label: label.value, split: split.value, status: status.value, partial: { "": null, partial: true, whole: false }[partial.value],
      sort: sort.value, descending: this.falling.checked, within: this.within,
    });
    this.list.scrollTop = 0;
  }

  keep(within) {
    this.within = within;
    this.pick();
  }

  fill() {
    const { labels, splits, statuses, sorts } = this.link.get("choices"), chosen = this.link.get("picker");
    const all = (words, names, value) => [option("", words, value), ...names.map((name) => option(name, name, value))];
    const { label, split, status, partial, sort } = this.filters;
    const part = { true: "partial", false: "whole", null: "" }[chosen.partial ?? null];
    label.replaceChildren(...all("all classes", labels, chosen.label));
    split.replaceChildren(...all("all splits", splits, chosen.split));
    status.replaceChildren(...all("any status", statuses, chosen.status));
    partial.replaceChildren(option("", "all events", part), option("partial", "partial", part), option("whole", "not partial", part));
    sort.replaceChildren(...Object.entries(sorts).map(([name, words]) => option(name, words, chosen.sort)));
    this.falling.checked = chosen.descending;
    this.within = chosen.within ?? {};
  }

  // The place of the current clip in the list, -1 where it is not in it.
  place() {
    const rows = this.link.get("rows"), current = this.link.get("video_id");
    return this.link.get("order").findIndex((at) => rows[at].video_id === current);
  }

  draw() {
    const rows = this.link.get("rows"), order = this.link.get("order"), current = this.link.get("video_id");
    this.sizer.style.height = `${order.length * ROW}px`;
    const first = Math.max(0, Math.floor(this.list.scrollTop / ROW) - 3);
    const last = Math.min(order.length, first + Math.ceil((this.list.clientHeight || 400) / ROW) + 7);
    this.sizer.replaceChildren(...order.slice(first, last).map((at, k) => this.item(rows[at], first + k, order.length, current)));
    const place = this.place();
    if (place >= 0) this.list.setAttribute("aria-activedescendant", `${this.app.id}-${place}`);
    else this.list.removeAttribute("aria-activedescendant");
    this.count.textContent = this.words(order.length, rows.length);
    this.chooser.textContent = `Clips: ${place < 0 ? this.words(order.length, rows.length) : `${place + 1} of ${order.length}`}`;
    return place;
  }

  words(shown, all) {
    const clips = `${all} clip${all === 1 ? "" : "s"}`;
    if (shown === all) return clips;
    return shown ? `${shown} of ${clips}` : `none of ${clips} fits`;
  }

  item(row, place, n, current) {
    const off = row.dist == null ? null : row.dist ? `${row.dist.toFixed(2)} s off` : "on the event";
    const facts = [row.label || "no label", row.split, row.status === "ok" ? null : row.status, off].filter(Boolean);
    return h("div", {
      id: `${this.app.id}-${place}`, class: "item", role: "option", "aria-selected": String(row.video_id === current), "aria-setsize": n, "aria-posinset": place + 1,
      style: `top:${place * ROW}px`, title: row.video_id, onclick: () => { this.choose(row.video_id); this.open(false); },
    }, h("b", {}, row.video_id), h("small", {}, facts.join(" · ")));
  }

  // Draw, and scroll to the current clip.
  reveal() {
    const place = this.draw(), { list } = this;
    if (place < 0) return;
    if (place * ROW < list.scrollTop) list.scrollTop = place * ROW;
    else if ((place + 1) * ROW > list.scrollTop + list.clientHeight) list.scrollTop = (place + 1) * ROW - list.clientHeight;
  }

  choose(video_id) {
    if (video_id === this.link.get("video_id")) return;
    this.app.player.video.pause();
    this.link.put("video_id", video_id);
  }

  // To the next clip (1), the previous (-1), the last (Infinity), the first (-Infinity).
  step(by) {
    const rows = this.link.get("rows"), order = this.link.get("order"), at = this.place();
    const next = Math.abs(by) > 1 ? (by > 0 ? order.length - 1 : 0) : at < 0 ? 0 : at + by;
    if (order[next] !== undefined) this.choose(rows[order[next]].video_id);
    else this.app.tell(order.length ? `This is the ${by > 0 ? "last" : "first"} clip of the list.` : "No clip fits: change the search or the filters.");
  }

  close() { clearTimeout(this.typing); }
}
