// The page's side of avesound's inspector. The kernel computes and draws; this plays, seeks, and passes on what the reader asks for.
import { h, seconds } from "./dom.js";
import { pageFacts } from "./address.js";
import { Link } from "./link.js";
import { ClipList } from "./list.js";
import { Player } from "./player.js";
import { Matrix } from "./matrix.js";
import { Scatter } from "./scatter.js";
import { Timeline } from "./timeline.js";
import { Settings } from "./settings.js";
import { Marks } from "./marks.js";
import { Keys } from "./keys.js";

let views = 0;

class Page {
  constructor(model) {
    this.id = `avs${++views}`;
    this.link = new Link(model);
    this.title = h("h2");
    this.facts = h("span", { class: "quiet" });
    this.saying = h("p", { class: "saying", "aria-live": "polite" });
    this.answer = h("p", { class: "said", role: "status" });
    this.list = new ClipList(this);
    this.scatter = new Scatter(this);
    this.player = new Player(this);
    this.matrix = new Matrix(this);
    this.timeline = new Timeline(this);
    this.settings = new Settings(this);
    this.marks = new Marks(this);
    this.keys = new Keys(this);
    this.root = this.link.root = this.together();
    this.listen();
  }

  together() {
    const { player, timeline, matrix, settings, marks, keys } = this;
    const working = h("span", { class: "quiet working" }, "working …");
    const screen = h("div", { class: "screen" }, player.picture, matrix.node);
    this.stage = h("section", { class: "stage", "aria-label": "The clip" }, h("header", {}, this.title, this.facts, working),
      this.saying, this.answer, screen, timeline.transport(), timeline.node, timeline.pan, timeline.legend, keys.help);
    const side = h("aside", { class: "side", "aria-label": "Settings, numbers and your marks" }, settings.node, settings.metrics, marks.node, this.scatter.node);
    const grid = h("div", { class: "grid" }, this.list.node, this.stage, side);
    return h("div", { class: "avesound inspector" }, grid);
  }

  listen() {
    this.link.on("change:video_id", () => this.leave());
    this.link.on("change:clip", () => { this.show(); this.settings.show(); });
    this.link.on("change:choices", () => {
      this.list.fill();
      this.settings.show();
      this.marks.show();
    });
  }

  // What the kernel has drawn, words escaped there.
  fill(node, name) { node.innerHTML = this.link.get(name); }

  tell(words) { this.answer.textContent = words; }

  // Another clip is on its way: what was said is about the one before.
  leave() {
    const video_id = this.link.get("video_id");
    this.list.reveal();
    if (video_id === this.link.get("clip").video_id) return;
    this.tell(this.marks.leave());
    this.stage.classList.add("stale");
    this.title.textContent = video_id;
  }

  show() {
    const clip = this.link.get("clip"), { label, split, partial, status, duration } = clip;
    const facts = [label, split, partial === true ? "partial event" : null, status === "ok" ? null : status, seconds(duration)];
    this.title.textContent = clip.video_id;
    this.facts.textContent = facts.filter(Boolean).join(" · ");
    this.stage.classList.remove("stale");
    if (this.player.load()) this.marks.arrive(clip);
    this.list.reveal();
    this.timeline.follow();
  }

  begin() {
    for (const name of ["sound", "curves", "legend"]) this.timeline.fill(name);
    this.list.fill();
    this.scatter.fill();
    this.settings.show();
    this.matrix.draw();
    this.settings.read();
    this.marks.show();
    this.show();
    this.timeline.showSpan();
    this.timeline.kind.value = this.link.get("sound_kind");
    this.link.put("page", pageFacts());
  }

  close() {
    for (const part of [this.keys, this.marks, this.timeline, this.player, this.list, this.link]) part.close();
  }
}

function render({ model, el }) {
  const page = new Page(model);
  el.append(page.root);
  page.begin();
  return () => page.close();
}

export default { render };
