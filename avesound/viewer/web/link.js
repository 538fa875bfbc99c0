// The kernel at the other end: what it says, what is asked of it, and whether an answer is slow.

const QUIET = ["page", "picker"]; // what the reader does not wait for
const SLOW_MS = 400;

export class Link {
  constructor(model) {
    this.model = model;
    this.listeners = [];
    this.asked = 0; // when the reader asked for something that is to be redrawn
    this.waiting = 0; // the moment after which that is called slow
    this.root = null; // of the page
  }

  on(names, act) {
    for (const name of names.split(" ")) {
      this.model.on(name, act);
      this.listeners.push([name, act]);
    }
  }

  get(name) { return this.model.get(name); }

  put(name, value) {
    if (JSON.stringify(value) === JSON.stringify(this.get(name))) return; // nothing would come back
    if (!QUIET.includes(name)) this.wait();
    this.model.set(name, value);
    this.model.save_changes();
  }

  // A setting whose redrawing is timed.
  ask(name, value) {
    this.asked ||= performance.now();
    this.put(name, value);
  }

  // What is asked of the kernel is about the clip that the reader sees, though another may be on its way.
  wish(what, more = {}) { this.model.send({ do: what, video_id: this.get("clip").video_id, ...more }); }

  timedWish(what) {
    this.asked ||= performance.now();
    this.wait();
    this.wish(what);
  }

  wait() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.root?.classList.add("busy"), SLOW_MS);
  }

  arrived() {
    clearTimeout(this.waiting);
    this.root?.classList.remove("busy");
  }

  close() {
    clearTimeout(this.waiting);
    for (const [name, act] of this.listeners) this.model.off(name, act);
  }
}
