// What the keyboard does, for nothing needs a mouse.
import { h } from "./dom.js";

const KEYS = [
  ["space", "play or pause"], ["← →", "0.1 s back or on; with shift 1 s"], [", .", "one frame back or on"], ["home end", "to the start, the end"],
  ["< >", "slower, faster"], ["n p", "next, previous clip"], ["/", "search"], ["+ − 0", "zoom in, out, whole clip"],
  ["drag", "choose a span; an edge of a mark: move it"], ["click", "seek; so does a drag with shift, or along the time axis"],
  ["i o", "an event starts, ends here"], ["m", "save the chosen span as an event"], ["esc", "give up a drag; else let go of the span or the mark"],
  ["N P", "next, previous mark (with shift)"], ["e", "play the span or the mark, up to its end"], ["del", "delete the chosen mark"],
  ["ctrl z", "undo; with shift, or ctrl y: do again"], ["[ ]", "start and end of a span to loop"], ["l", "loop the span, the mark or the event, or stop"],
];
const WRITES = "input[type=text], input[type=search], textarea";

export class Keys {
  constructor(app) {
    this.app = app;
    const terms = KEYS.map(([key, words]) => h("div", {}, h("dt", {}, key), h("dd", {}, words)));
    this.help = h("details", { class: "keys" }, h("summary", {}, "Keys"), h("dl", {}, ...terms));
    this.acts = this.table();
    this.guard = (event) => this.caught(event);
    window.addEventListener("keydown", this.guard, true);
  }

  table() {
    const { player, timeline, list, marks, link } = this.app;
    const by = (event) => (event.shiftKey ? 1 : 0.1), frame = () => 1 / link.get("clip").fps;
    return {
      " ": () => player.toggle(), Home: () => player.jump(0), End: () => player.jump(player.duration()),
      ArrowLeft: (event) => player.jump(player.now() - by(event)), ArrowRight: (event) => player.jump(player.now() + by(event)),
      ",": () => player.jump(player.now() - frame()), ".": () => player.jump(player.now() + frame()),
      n: () => list.step(1), p: () => list.step(-1), "/": () => list.search.focus(), "?": () => { this.help.open = !this.help.open; },
      "+": () => timeline.zoom(0.5), "=": () => timeline.zoom(0.5), "-": () => timeline.zoom(2), 0: () => timeline.whole(),
      "[": () => player.bracket(false), "]": () => player.bracket(true), l: () => player.loopOrNot(),
      "<": () => player.step(-1), ">": () => player.step(1), e: () => marks.play(), N: () => marks.step(1), P: () => marks.step(-1),
      Delete: () => marks.removeChosen(), Backspace: () => marks.removeChosen(), Escape: () => marks.letGo(), i: () => marks.begin(), o: () => marks.finish(), m: () => marks.store(),
    };
  }

  // Before JupyterLab sees it: there, d d deletes a cell, and the arrows move between them. What is held with ctrl is its own, but for undoing.
  caught(event) {
    if (event.key === "Escape" && this.givesUp()) { // wherever the focus is
      event.preventDefault();
      event.stopPropagation();
      return;
    }
    if (!this.app.root.contains(event.target)) return;
    const back = this.takesBack(event);
    if (!back) this.pressed(event);
    else if (!event.target.matches(WRITES)) { // in a field the browser undoes what was typed
      this.app.marks[back]();
      event.preventDefault();
    }
    if (back || !this.withControl(event)) event.stopPropagation();
  }

  // Whether something was being dragged, which is as it was now.
  givesUp() {
    const { timeline, matrix, scatter } = this.app;
    return [timeline.drag, matrix, scatter].some((part) => part.abandon());
  }

  withControl(event) { return event.ctrlKey || event.metaKey || event.altKey; }

  // "undo", "redo" or null.
  takesBack(event) {
    if (event.altKey || !(event.ctrlKey || event.metaKey)) return null;
    return { z: event.shiftKey ? "redo" : "undo", y: event.shiftKey ? null : "redo" }[event.key.toLowerCase()] ?? null;
  }

  pressed(event) {
    const at = event.target, writes = at.matches(WRITES), { list, timeline } = this.app;
    if (event.key === "Escape" && (writes || at.matches("select"))) { timeline.node.focus(); return; }
    if (writes || this.withControl(event) || this.needs(at, event.key)) return;
    const inList = list.list.contains(at) && { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    if (inList) list.step(inList);
    else if (this.acts[event.key]) this.acts[event.key](event);
    else return;
    event.preventDefault();
  }

  // Whether a control needs the key itself.
  needs(node, key) {
    if (node.tagName === "SELECT") return true;
    if (node.tagName === "BUTTON" || node.tagName === "SUMMARY") return key === " ";
    return node.tagName === "INPUT" && (key.startsWith("Arrow") || ["Home", "End", " "].includes(key));
  }

  close() { window.removeEventListener("keydown", this.guard, true); }
}
