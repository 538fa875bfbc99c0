// The clip and its clock, which is the <video> element's. Where there is no media, `still` keeps the time instead.
import { h, button, clamp, option } from "./dom.js";
import { withXsrf } from "./address.js";

const SPEEDS = ["0.25", "0.5", "1", "2"];

export class Player {
  constructor(app) {
    this.app = app;
    this.link = app.link;
    this.still = 0;
    this.wanted = null; // the moment that the player is on its way to
    this.loop = null; // [start, end] of what is repeated
    this.until = null; // the moment at which to stop
    this.urls = []; // addresses in the order in which to try them
    this.tried = 0;
    this.films = {}; // clips that the kernel has sent, by their id
    this.shown = ""; // the clip and where it is fetched from
    this.frames = 0;
    this.video = h("video", { playsinline: true, preload: "auto", "aria-label": "The clip", tabindex: -1 });
    this.notice = h("div", { class: "notice", role: "note" });
    this.picture = h("div", { class: "picture" }, this.video, this.notice);
    this.copy = button("Make a copy that plays", () => { this.notice.textContent = "Making a copy …"; this.link.wish("copy"); });
    this.play = button("Play", () => this.toggle(), { class: "main", "aria-pressed": "false" });
    this.clock = h("span", { class: "clock" });
    this.speed = h("select", { "aria-label": "Speed", onchange: () => this.setSpeed(this.speed.value) },
      ...SPEEDS.map((rate) => option(rate, `${rate}×`, "1")));
    this.looping = h("select", { "aria-label": "Loop", onchange: () => this.loopNamed(this.looping.value) },
      option("", "no loop", ""), option("event", "loop the event", ""), option("prediction", "loop the prediction", ""), option("span", "loop my span", ""));
    this.listen();
  }

  listen() {
    const { video } = this, follow = () => this.app.timeline.follow();
    video.addEventListener("click", () => this.toggle());
    for (const event of ["timeupdate", "seeking", "loadedmetadata"]) video.addEventListener(event, follow);
    for (const event of ["play", "pause", "ended"]) video.addEventListener(event, () => this.turned());
    video.addEventListener("seeked", () => this.seeked());
    video.addEventListener("ended", () => { if (this.loop) { this.seek(this.loop[0]); video.play(); } });
    video.addEventListener("error", () => this.failed());
    this.link.on("msg:custom", (message) => this.filmed(message));
  }

  duration() { return this.link.get("clip").duration || 10; }
  hasMedia() { return this.video.readyState > 0; }
  now() { return this.wanted ?? (this.hasMedia() ? this.video.currentTime : this.still); }

  // A player that is still on its way to one moment is sent to the next only when it has arrived; the playhead does not wait.
  seek(t) {
    this.until = null;
    this.wanted = this.still = clamp(t, 0, Math.max(0, this.duration() - 0.001));
    if (!this.hasMedia()) this.wanted = null;
    else if (!this.video.seeking) this.video.currentTime = this.wanted;
    this.app.timeline.follow();
  }

  seeked() {
    const { video, wanted } = this;
    if (wanted !== null && Math.abs(video.currentTime - wanted) > 0.02 && wanted < video.duration - 0.02) { video.currentTime = wanted; return; }
    this.wanted = null;
    this.app.timeline.follow();
  }

  // What was jumped to is brought into view where it is not.
  jump(t) {
    this.seek(t);
    this.app.timeline.bring(this.now());
  }

  toggle() {
    const { video } = this;
    this.until = null;
    if (!this.hasMedia()) return;
    if (video.paused) video.play().catch((error) => this.app.tell(error.message));
    else video.pause();
  }

  // A span, once, up to its end.
  playSpan([start, end]) {
    this.jump(start);
    this.until = end;
    this.video.play().catch((error) => this.app.tell(error.message));
  }

  turned() {
    const { paused } = this.video;
    this.play.textContent = paused ? "Play" : "Pause";
    this.play.setAttribute("aria-pressed", String(!paused));
    cancelAnimationFrame(this.frames);
    if (paused) this.app.timeline.speak();
    else this.frames = requestAnimationFrame(() => this.run());
  }

  // Frame by frame while it plays.
  run() {
    const { video, loop, until } = this, t = video.currentTime, there = this.wanted === null && !video.seeking;
    if (until !== null && there && t >= until) { video.pause(); this.seek(until); }
    if (until === null && loop && there && (t >= loop[1] || t < loop[0] - 0.25)) this.seek(loop[0]);
    this.app.timeline.follow();
    this.frames = requestAnimationFrame(() => this.run());
  }

  // ---- loops

  loopNamed(name) {
    const { event, prediction } = this.link.get("reading").loops;
    this.setLoop({ event, prediction, span: this.app.marks.framed()?.span ?? this.loop }[name] ?? null, name);
  }

  setLoop(span, name = span ? "span" : "") {
    this.loop = span;
    this.looping.value = span ? name : "";
    if (name === "span" && !span) this.app.tell("Choose a span first: drag over the timeline, or press [ and ].");
    if (span && (this.now() < span[0] || this.now() >= span[1])) this.jump(span[0]);
    this.app.timeline.follow();
  }

  // One bound of the loop at the playhead, the other where it is or at the bound of the clip.
  bracket(end) {
    const t = this.now(), duration = this.duration(), [a, b] = this.loop ?? [0, duration];
    if (end) this.setLoop(a < t ? [a, t] : [0, t]);
    else this.setLoop(b > t ? [t, b] : [t, duration]);
  }

  loopOrNot() {
    const { event, prediction } = this.link.get("reading").loops;
    const framed = this.app.marks.framed();
    if (this.loop) this.setLoop(null);
    else if (framed) this.setLoop(framed.span);
    else this.setLoop(event ?? prediction ?? null, event ? "event" : "prediction");
  }

  // One step slower (-1) or faster (1).
  step(by) {
    this.speed.value = SPEEDS[clamp(SPEEDS.indexOf(this.speed.value) + by, 0, SPEEDS.length - 1)];
    this.setSpeed(this.speed.value);
  }

  setSpeed(rate) { this.video.playbackRate = this.video.defaultPlaybackRate = Number(rate); }

  // ---- the file

  lacking(words, offer) {
    this.notice.replaceChildren(words, ...(offer ? [h("br"), this.copy] : []));
    this.notice.hidden = !words;
  }

  // Show the clip that the kernel has chosen; true where it is another one than before.
  load() {
    const clip = this.link.get("clip"), key = JSON.stringify([clip.video_id, clip.urls, clip.can_send]);
    if (key === this.shown) return false;
    const another = !this.shown || JSON.parse(this.shown)[0] !== clip.video_id;
    if (another) { this.still = 0; this.wanted = this.loop = this.until = null; this.looping.value = ""; }
    this.shown = key;
    this.video.hidden = !clip.has_video;
    this.tried = 0;
    if (clip.urls.length) this.open(clip.urls);
    else {
      this.empty();
      this.askForFilm();
    }
    return another;
  }

  open(urls) {
    this.urls = urls;
    this.tried = 0;
    this.play.disabled = false;
    this.lacking(this.link.get("clip").has_video ? "" : "Sound without a picture");
    this.video.src = withXsrf(urls[0]);
  }

  // Where the page reaches no file, as in VS Code or Colab, the kernel sends a small clip itself.
  askForFilm() {
    const { video_id, can_send, can_copy, note } = this.link.get("clip"), film = this.films[video_id];
    if (film) this.open([film]);
    else if (can_send && film === undefined) {
      this.lacking("The clip comes through the kernel …");
      this.link.wish("film");
    } else this.lacking(note, can_copy);
  }

  filmed({ film, uri, why }) {
    if (film === undefined) return;
    this.films = { ...Object.fromEntries(Object.entries(this.films).slice(-7)), [film]: uri };
    const { video_id, note } = this.link.get("clip");
    if (film !== video_id) return;
    if (uri) this.open([uri]);
    else this.lacking([why, note].filter(Boolean).join(" "));
  }

  empty() {
    this.urls = [];
    this.play.disabled = true;
    this.video.removeAttribute("src");
    this.video.load();
  }

  failed() {
    const { note, can_copy, video_id } = this.link.get("clip"), { urls } = this;
    if (++this.tried < urls.length) this.video.src = withXsrf(urls[this.tried]);
    else if (urls.length && !urls[0].startsWith("data:") && this.films[video_id] === undefined) this.askForFilm();
    else if (urls.length) this.lacking(note || "This browser could not open the clip.", can_copy);
  }

  close() {
    cancelAnimationFrame(this.frames);
    this.video.pause();
    this.empty();
  }
}
