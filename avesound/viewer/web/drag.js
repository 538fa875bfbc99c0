// What a pointer does on the timeline: a click seeks, a drag chooses a span, an edge of a mark can be pulled; along the time axis, or with shift, a drag seeks. Esc gives a drag up.

const SLIP = { mouse: 3, pen: 4, touch: 8 }; // px that a click may move
const REACH = { mouse: 5, pen: 8, touch: 16 }; // px around an edge that take hold of it
const AXIS = 18; // px at the foot of the timeline, where its numbers stand
const SHORTEST_S = 0.01;

export class Drag {
  constructor(app, timeline) {
    this.app = app;
    this.timeline = timeline;
    this.held = null; // what is pulled, and from where
    const { node } = timeline;
    node.addEventListener("pointerdown", (event) => this.down(event));
    node.addEventListener("pointermove", (event) => this.move(event));
    node.addEventListener("pointerup", (event) => this.up(event));
    node.addEventListener("pointercancel", () => this.abandon()); // a finger scrolls the page
  }

  down(event) {
    if (event.button || !event.isPrimary) return;
    const { timeline } = this, t = timeline.moment(event);
    timeline.node.focus({ preventScroll: true });
    timeline.node.setPointerCapture(event.pointerId);
    const seeks = event.shiftKey || this.onAxis(event);
    this.held = { ...(seeks ? { seeks } : this.edgeAt(event) ?? { from: t }), over: this.markAt(event), x: event.clientX, moved: false, was: this.app.player.now() };
    if (seeks) this.app.player.seek(t);
    event.preventDefault();
  }

  move(event) {
    const { held, timeline, app } = this;
    if (!held) { timeline.node.style.cursor = this.onAxis(event) ? "col-resize" : this.edgeAt(event) ? "ew-resize" : ""; return; }
    held.moved ||= Math.abs(event.clientX - held.x) > (SLIP[event.pointerType] ?? 3);
    if (held.seeks) app.player.seek(timeline.moment(event));
    else if (held.moved) app.marks.preview(this.span(timeline.moment(event)));
  }

  up(event) {
    const { held, app } = this, t = this.timeline.moment(event);
    this.held = null;
    app.marks.preview(null);
    if (!held || held.seeks) return;
    if (!held.moved) {
      app.player.seek(t);
      app.marks.choose(held.over);
    } else if (held.edge === undefined || held.mark === null) app.marks.setDraft(...this.span(t, held));
    else app.marks.change(held.mark, this.span(t, held));
  }

  // All is as it was before the pointer went down. Whether there was anything to give up.
  abandon() {
    const { held, app } = this;
    this.held = null;
    app.marks.preview(null);
    if (held?.seeks) app.player.seek(held.was);
    return held !== null;
  }

  // Of what is pulled, when the pointer is at a moment.
  span(t, { from, edge, span } = this.held) {
    if (edge === undefined) return [Math.min(from, t), Math.max(from, t, Math.min(from, t) + SHORTEST_S)];
    return edge ? [span[0], Math.max(t, span[0] + SHORTEST_S)] : [Math.min(t, span[1] - SHORTEST_S), span[1]];
  }

  onAxis(event) { return event.clientY > this.timeline.node.getBoundingClientRect().bottom - AXIS; }

  drawn() { return [...this.timeline.curves.querySelectorAll("rect.mark")]; }

  // The mark under a pointer, by its number.
  markAt(event) {
    const over = this.drawn().filter((node) => {
      const box = node.getBoundingClientRect();
      return event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
    });
    return over.length ? Number(over[0].dataset.n) : null;
  }

  // The nearest edge within reach: of what is framed from top to bottom, or of a mark in its lane. null: none.
  edgeAt(event) {
    const { marks } = this.app, all = this.app.link.get("marks"), framed = marks.framed();
    const found = framed ? this.edgesOf(event, framed.span, framed.mark) : [];
    for (const node of this.drawn()) {
      const box = node.getBoundingClientRect(), n = Number(node.dataset.n), mark = all[n];
      if (mark && event.clientY >= box.top - 2 && event.clientY <= box.bottom + 2) found.push(...this.edgesOf(event, mark.slice(1), n));
    }
    const { away, ...nearest } = found.sort((a, b) => a.away - b.away)[0] ?? {};
    return away === undefined ? null : nearest;
  }

  edgesOf(event, span, mark) {
    const box = this.timeline.node.getBoundingClientRect(), [a, b] = this.app.link.get("span"), reach = REACH[event.pointerType] ?? 5;
    return [0, 1].map((edge) => ({ edge, span, mark, away: Math.abs(box.left + box.width * this.timeline.place(span[edge]) / 100 - event.clientX) }))
      .filter(({ edge, away }) => away <= reach && span[edge] >= a && span[edge] <= b);
  }
}
