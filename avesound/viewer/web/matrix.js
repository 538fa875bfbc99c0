// The cosine of every moment of the sound with every moment of the picture; a click goes to a moment.
import { h, axisOf, clamp } from "./dom.js";

export class Matrix {
  constructor(app) {
    this.app = app;
    this.link = app.link;
    this.cross = h("div", { class: "cross" });
    this.node = h("div", { class: "matrix", tabindex: 0, role: "group", "aria-label": "Similarity of every moment of the picture with every moment of the sound; arrow keys move in time" });
    this.node.addEventListener("pointerdown", (event) => { if (!event.button) { this.node.setPointerCapture(event.pointerId); this.point(event); } });
    this.node.addEventListener("pointermove", (event) => { if (this.node.hasPointerCapture(event.pointerId)) this.point(event); });
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

  point(event) {
    const box = this.node.getBoundingClientRect(), [left, right] = axisOf(this.node);
    this.app.player.jump(((event.clientX - box.left) / box.width - left) / (right - left) * this.app.player.duration());
  }

  follow(t, duration) {
    const [left, right] = axisOf(this.node);
    this.cross.style.left = `${100 * (left + clamp(t / duration, 0, 1) * (right - left))}%`;
  }
}
