// The cosine of every moment of the sound with every moment of the picture; a click goes to a moment.
import { h, axisOf, clamp } from "./dom.js";

export class Matrix {
  constructor(app) {
    this.app = app;
    this.link = app.link;
    this.cross = h("div", { class: "cross" });
    this.node = h("div", { class: "matrix", tabindex: 0, role: "group", "aria-label": "Similarity of every moment of the picture with every moment of the sound; arrow keys move in time" });
    this.was = null; // the moment and the part in view before the pointer went down
    this.node.addEventListener("pointerdown", (event) => this.down(event));
    this.node.addEventListener("pointermove", (event) => { if (this.was) this.point(event); });
    this.node.addEventListener("pointerup", () => { this.was = null; });
    this.node.addEventListener("pointercancel", () => { this.was = null; });
    this.link.on("change:matrix", () => this.draw());
  }

  draw() {
    this.app.fill(this.node, "matrix");
    this.node.append(this.cross);
    const { top, foot, width } = this.node.querySelector("svg")?.dataset ?? { top: 0, foot: 1, width: 1 };
    this.cross.style.top = `${100 * top / width}%`; // the drawing is as high as it is wide
    this.cross.style.height = `${100 * (foot - top) / width}%`;
    this.node.hidden = !this.link.get("matrix");
    this.app.timeline.follow();
  }

  down(event) {
    if (event.button) return;
    this.node.setPointerCapture(event.pointerId);
    this.was = { t: this.app.player.now(), span: this.link.get("span") };
    this.point(event);
  }

  // As it was before the pointer went down. Whether there was anything to give up.
  abandon() {
    const { was } = this;
    this.was = null;
    if (!was) return false;
    this.app.player.seek(was.t);
    this.link.put("span", was.span);
    return true;
  }

  point(event) {
    const box = this.node.getBoundingClientRect(), [left, right] = axisOf(this.node);
    this.app.player.jump(((event.clientX - box.left) / box.width - left) / (right - left) * this.app.player.duration());
  }

  follow(t, duration) {
    const [left, right] = axisOf(this.node);
    this.cross.style.left = `${100 * (left + clamp(t / duration, 0, 1) * (right - left))}%`;
  }
}
