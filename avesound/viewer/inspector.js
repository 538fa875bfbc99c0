// The page's side of avesound.inspector. The kernel computes and draws; this plays, seeks, and passes on what the reader wants.
// One clock: the <video> element's. Where there is no media, `still` keeps the time instead.

const ROW = 40; // height of a clip in the list, px
const SETTINGS = ["tau", "score_smooth_sigma", "audio_query", "multi_reduce", "scale_fusion", "L_sec"];
const KEYS = [
  ["space", "play or pause"], ["← →", "0.1 s back or on; with shift 1 s"], [", .", "one frame back or on"], ["home end", "to the start, the end"],
  ["n p", "next, previous clip"], ["/", "search"], ["+ − 0", "zoom in, out, whole clip"], ["[ ]", "start and end of a span to loop"], ["l", "loop it, or stop looping"],
  ["i o", "an event starts, ends here"], ["m", "save the event"], ["drag", "seek; with shift: choose a span to loop"],
];
let views = 0;

function h(tag, attrs = {}, ...kids) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attrs)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...kids.filter((kid) => kid != null));
  return node;
}
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const seconds = (t) => `${t.toFixed(2)} s`;
const option = (value, words, chosen) => { const node = h("option", { value }, words); node.selected = value === chosen; return node; };

// Where the page comes from, which the kernel cannot know: Jupyter's folder and address.
function pageFacts() {
  let config = {};
  try { config = JSON.parse(document.getElementById("jupyter-config-data").textContent); } catch { /* not Jupyter */ }
  return { server_root: config.serverRoot || "", base_url: config.baseUrl || "", host: location.protocol.startsWith("http") ? location.hostname : "" };
}
// Jupyter asks for this where it protects reading as well.
function withXsrf(url) {
  const token = url.startsWith("/") && document.cookie.match("\\b_xsrf=([^;]*)\\b");
  return token ? `${url}?_xsrf=${encodeURIComponent(token[1])}` : url;
}

function render({ model, el }) {
  const id = `avs${++views}`;
  const listeners = [];
  const on = (names, act) => names.split(" ").forEach((name) => { model.on(name, act); listeners.push([name, act]); });
  const get = (name) => model.get(name);
  const put = (name, value) => {
    if (JSON.stringify(value) === JSON.stringify(get(name))) return; // nothing would come back
    if (!["page", "picker"].includes(name)) wait();
    model.set(name, value);
    model.save_changes();
  };
  // What is asked of the kernel is about the clip that the reader sees, though another may be on its way.
  const wish = (what, more = {}) => model.send({ do: what, video_id: get("clip").video_id, ...more });
  let asked = 0, waiting = 0; // when the reader asked for something that is to be redrawn; the moment after which that is called slow
  const ask = (name, value) => { asked ||= performance.now(); put(name, value); };
  const wait = () => { clearTimeout(waiting); waiting = setTimeout(() => root.classList.add("busy"), 400); };
  const arrived = () => { clearTimeout(waiting); root.classList.remove("busy"); };

  // ---- the clips
  const search = h("input", { type: "search", placeholder: "Search clips  ( / )", "aria-label": "Search clips by id or label" });
  const filters = Object.fromEntries(["label", "split", "status", "partial", "sort"].map((name) => [name, h("select", { onchange: pick })]));
  const falling = h("input", { type: "checkbox", onchange: pick });
  const count = h("span", { class: "quiet", role: "status" });
  const sizer = h("div", { class: "sizer" });
  const list = h("div", { class: "list", role: "listbox", tabindex: 0, "aria-label": "Clips", onscroll: listed }, sizer);
  const field = (words, node) => h("label", { class: "field" }, h("span", {}, words), node);
  const clips = h("nav", { class: "clips", "aria-label": "Choose a clip" }, search,
    h("details", {}, h("summary", {}, "Filter and sort"), field("Class", filters.label), field("Split", filters.split), field("Status", filters.status),
      field("Events", filters.partial), field("Sort by", filters.sort), h("label", { class: "check" }, falling, "highest first")), count, list);
  let typing;
  search.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(pick, 150); });

  function pick() {
    const partial = { "": null, partial: true, whole: false }[filters.partial.value];
    put("picker", { search: search.value, label: filters.label.value, split: filters.split.value, status: filters.status.value, partial, sort: filters.sort.value, descending: falling.checked });
    list.scrollTop = 0;
  }
  function fillFilters() {
    const { labels, splits, statuses, sorts } = get("choices"), chosen = get("picker");
    const all = (words, names, value) => [option("", words, value), ...names.map((name) => option(name, name, value))];
    filters.label.replaceChildren(...all("all classes", labels, chosen.label));
    filters.split.replaceChildren(...all("all splits", splits, chosen.split));
    filters.status.replaceChildren(...all("any status", statuses, chosen.status));
    filters.partial.replaceChildren(option("", "all events", ""), option("partial", "partial", ""), option("whole", "not partial", ""));
    filters.sort.replaceChildren(...Object.entries(sorts).map(([name, words]) => option(name, words, chosen.sort)));
    falling.checked = chosen.descending;
  }
  // Only the rows in view exist: there may be thousands.
  function listed() {
    const rows = get("rows"), order = get("order"), current = get("video_id");
    sizer.style.height = `${order.length * ROW}px`;
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 3), last = Math.min(order.length, first + Math.ceil((list.clientHeight || 400) / ROW) + 7);
    sizer.replaceChildren(...order.slice(first, last).map((at, k) => {
      const row = rows[at], facts = [row.label || "no label", row.split, row.status === "ok" ? null : row.status, row.dist == null ? null : row.dist ? `${row.dist.toFixed(2)} s off` : "on the event"].filter(Boolean);
      return h("div", { id: `${id}-${first + k}`, class: "item", role: "option", "aria-selected": String(row.video_id === current), "aria-setsize": order.length, "aria-posinset": first + k + 1,
        style: `top:${(first + k) * ROW}px`, title: row.video_id, onclick: () => choose(row.video_id) }, h("b", {}, row.video_id), h("small", {}, facts.join(" · ")));
    }));
    const place = order.findIndex((at) => rows[at].video_id === current);
    if (place >= 0) list.setAttribute("aria-activedescendant", `${id}-${place}`); else list.removeAttribute("aria-activedescendant");
    const all = `${rows.length} clip${rows.length === 1 ? "" : "s"}`;
    count.textContent = order.length === rows.length ? all : order.length ? `${order.length} of ${all}` : `none of ${all} fits`;
    return place;
  }
  function showPlace() {
    const place = listed();
    if (place < 0) return;
    if (place * ROW < list.scrollTop) list.scrollTop = place * ROW;
    else if ((place + 1) * ROW > list.scrollTop + list.clientHeight) list.scrollTop = (place + 1) * ROW - list.clientHeight;
  }
  function choose(video_id) { if (video_id !== get("video_id")) { video.pause(); put("video_id", video_id); } }
  function step(by) {
    const rows = get("rows"), order = get("order");
    const at = order.findIndex((k) => rows[k].video_id === get("video_id")), next = Math.abs(by) > 1 ? (by > 0 ? order.length - 1 : 0) : at < 0 ? 0 : at + by;
    if (order[next] !== undefined) choose(rows[order[next]].video_id);
    else tell(order.length ? `This is the ${by > 0 ? "last" : "first"} clip of the list.` : "No clip fits: change the search or the filters.");
  }

  // ---- the clip and its clock
  const title = h("h2"), chips = h("span", { class: "quiet" }), working = h("span", { class: "quiet working" }, "working …"), saying = h("p", { class: "saying", "aria-live": "polite" });
  const said = h("p", { class: "said", role: "status" });
  const video = h("video", { playsinline: true, preload: "auto", "aria-label": "The clip", tabindex: -1 });
  const notice = h("div", { class: "notice", role: "note" });
  const copy = h("button", { type: "button", onclick: () => { notice.textContent = "Making a copy …"; wish("copy"); } }, "Make a copy that plays");
  const matrix = h("div", { class: "matrix", tabindex: 0, role: "group", "aria-label": "Similarity of every moment of the picture with every moment of the sound; arrow keys move in time" });
  let still = 0, wanted = null, loop = null, frames = 0, urls = [], tried = 0;
  const duration = () => get("clip").duration || 10;
  const hasMedia = () => video.readyState > 0;
  const now = () => (wanted ?? (hasMedia() ? video.currentTime : still));

  // A player that is still on its way to one moment is sent to the next only when it has arrived; the playhead does not wait.
  function seek(t) {
    wanted = still = clamp(t, 0, Math.max(0, duration() - 0.001));
    if (!hasMedia()) wanted = null;
    else if (!video.seeking) video.currentTime = wanted;
    follow();
  }
  video.addEventListener("seeked", () => {
    if (wanted !== null && Math.abs(video.currentTime - wanted) > 0.02 && wanted < video.duration - 0.02) { video.currentTime = wanted; return; }
    wanted = null;
    follow();
  });
  // What was jumped to is brought into view where it is not.
  function jump(t) {
    seek(t);
    const [a, b] = get("span"), at = now();
    if (at < a || at > b) view(at - (b - a) / 2, b - a);
  }
  const toggle = () => { if (!hasMedia()) return; if (video.paused) video.play().catch((error) => tell(error.message)); else video.pause(); };
  video.addEventListener("click", toggle);
  for (const event of ["timeupdate", "seeking", "loadedmetadata"]) video.addEventListener(event, () => follow());
  for (const event of ["play", "pause", "ended"]) video.addEventListener(event, () => {
    play.textContent = video.paused ? "Play" : "Pause";
    play.setAttribute("aria-pressed", String(!video.paused));
    cancelAnimationFrame(frames);
    if (!video.paused) frames = requestAnimationFrame(run); else speak();
  });
  function run() {
    if (loop && wanted === null && !video.seeking && (video.currentTime >= loop[1] || video.currentTime < loop[0] - 0.25)) seek(loop[0]);
    follow();
    frames = requestAnimationFrame(run);
  }
  video.addEventListener("ended", () => { if (loop) { seek(loop[0]); video.play(); } });
  video.addEventListener("error", () => {
    if (++tried < urls.length) video.src = withXsrf(urls[tried]);
    else if (urls.length) lacking(get("clip").note || "This browser could not open the clip.", get("clip").can_copy);
  });

  function lacking(words, offer) { notice.replaceChildren(words, ...(offer ? [h("br"), copy] : [])); notice.hidden = !words; }
  let shown = null;
  function loadClip() {
    const clip = get("clip");
    title.textContent = clip.video_id;
    chips.textContent = [clip.label, clip.split, clip.partial === true ? "partial event" : null, clip.status === "ok" ? null : clip.status, seconds(clip.duration)].filter(Boolean).join(" · ");
    stage.classList.remove("stale");
    const key = JSON.stringify([clip.video_id, clip.urls]);
    if (key === shown) return;
    if (!shown || JSON.parse(shown)[0] !== clip.video_id) {
      still = 0; wanted = null; loop = null; looping.value = ""; gone = null;
      [begun, ended] = drafts[clip.video_id] ?? [null, null];
      delete drafts[clip.video_id];
      const usual = clip.events.length ? clip.label.split("|")[0] : "";
      if (!label.value || label.value === offered) label.value = usual;
      offered = usual;
      drawMark();
    }
    shown = key;
    urls = clip.urls; tried = 0;
    video.hidden = !clip.has_video;
    if (urls.length) { video.src = withXsrf(urls[0]); lacking(clip.has_video ? "" : "Sound without a picture"); }
    else { video.removeAttribute("src"); video.load(); lacking(clip.note, clip.can_copy); }
    play.disabled = !urls.length;
    showPlace();
    follow();
  }

  // ---- the timeline
  const sound = h("div", { class: "lane-sound" }), curves = h("div", { class: "lane-curves" });
  const head = h("div", { class: "playhead" }), looped = h("div", { class: "looped", hidden: true }), marking = h("div", { class: "marking", hidden: true });
  const timeline = h("div", { class: "timeline", role: "slider", tabindex: 0, "aria-label": "Moment in the clip", "aria-valuemin": 0 }, sound, curves, looped, marking, head);
  const pan = h("input", { type: "range", class: "pan", "aria-label": "Part of the clip in view", step: "any", oninput: () => { const [a, b] = get("span"); put("span", [Number(pan.value), Number(pan.value) + b - a]); } });
  const legend = h("div");
  const axis = (node) => { const { left, right, width } = node.querySelector("svg")?.dataset ?? { left: 0, right: 1, width: 1 }; return [left / width, right / width]; };
  const place = (t) => { const [left, right] = axis(sound), [a, b] = get("span"); return 100 * (left + clamp((t - a) / (b - a), 0, 1) * (right - left)); };
  function moment(event) {
    const box = timeline.getBoundingClientRect(), [left, right] = axis(sound), [a, b] = get("span");
    return clamp(a + ((event.clientX - box.left) / box.width - left) / (right - left) * (b - a), 0, duration());
  }
  function cover(node, span) {
    const [a, b] = get("span");
    node.hidden = !span || span[1] < a || span[0] > b;
    if (!node.hidden) { node.style.left = `${place(span[0])}%`; node.style.width = `${place(span[1]) - place(span[0])}%`; }
  }
  function follow() {
    const t = now(), [a, b] = get("span");
    head.style.left = `${place(t)}%`;
    head.hidden = t < a - 1e-6 || t > b + 1e-6;
    if (head.hidden && hasMedia() && !video.paused && t > b) put("span", [t, t + b - a]);
    clock.textContent = `${t.toFixed(2)} / ${duration().toFixed(2)} s`;
    cross.style.left = `${100 * (axis(matrix)[0] + clamp(t / duration(), 0, 1) * (axis(matrix)[1] - axis(matrix)[0]))}%`;
    cover(looped, loop); cover(marking, begun === null ? null : [begun, ended ?? Math.max(begun, t)]);
    if (video.paused || wanted !== null) speak(); // while it plays, a screen reader lets the clip be heard
  }
  function speak() {
    const t = now(), reading = get("reading");
    const cell = reading.starts ? reading.starts.findLastIndex((start) => start <= t) : -1;
    const inside = get("clip").events.some(([start, end]) => start <= t && t < end);
    const words = [`${t.toFixed(2)} of ${duration().toFixed(2)} seconds`, get("clip").events.length ? (inside ? "inside the annotated event" : "outside the annotated event") : null, cell >= 0 ? `probability ${reading.density[cell].toFixed(2)} per second` : null];
    timeline.setAttribute("aria-valuemax", duration().toFixed(2));
    timeline.setAttribute("aria-valuenow", t.toFixed(2));
    timeline.setAttribute("aria-valuetext", words.filter(Boolean).join(", "));
  }
  timeline.addEventListener("focus", speak);
  let dragging = null;
  timeline.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    timeline.focus({ preventScroll: true });
    timeline.setPointerCapture(event.pointerId);
    dragging = event.shiftKey ? moment(event) : "seek";
    if (dragging === "seek") seek(moment(event));
    event.preventDefault();
  });
  timeline.addEventListener("pointermove", (event) => {
    if (dragging === "seek") seek(moment(event));
    else if (dragging !== null) { loop = [dragging, moment(event)].sort((x, y) => x - y); follow(); }
  });
  timeline.addEventListener("pointerup", () => { if (typeof dragging === "number") setLoop(loop && loop[1] - loop[0] > 0.05 ? loop : null); dragging = null; });
  timeline.addEventListener("pointercancel", () => { dragging = null; });
  timeline.addEventListener("wheel", (event) => { // with ctrl (or a pinch) it zooms, sideways it pans; else the page scrolls
    const [a, b] = get("span");
    if (event.ctrlKey) zoom(Math.exp(event.deltaY / 200), moment(event));
    else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) && b - a < duration() - 1e-6) view(a + event.deltaX / 800 * (b - a), b - a);
    else return;
    event.preventDefault();
  }, { passive: false });
  function view(start, length) {
    length = clamp(length, Math.min(0.2, duration()), duration());
    start = clamp(start, 0, duration() - length);
    put("span", [start, start + length]);
  }
  function zoom(by, about = now()) {
    const [a, b] = get("span");
    about = clamp(about, a, b);
    view(about - (about - a) * by, (b - a) * by);
  }
  function showSpan() {
    const [a, b] = get("span"), whole = b - a >= duration() - 1e-6;
    pan.style.visibility = whole ? "hidden" : "visible";
    pan.max = duration() - (b - a); pan.min = 0;
    if (document.activeElement !== pan) pan.value = a;
    follow();
  }
  const cross = h("div", { class: "cross" });
  matrix.addEventListener("pointerdown", (event) => {
    const box = matrix.getBoundingClientRect(), [left, right] = axis(matrix);
    jump(((event.clientX - box.left) / box.width - left) / (right - left) * duration());
  });

  // ---- transport
  const button = (words, act, more = {}) => h("button", { type: "button", onclick: act, ...more }, words);
  const play = button("Play", toggle, { class: "main", "aria-pressed": "false" });
  const clock = h("span", { class: "clock" });
  const speed = h("select", { "aria-label": "Speed", onchange: () => { video.playbackRate = video.defaultPlaybackRate = Number(speed.value); } }, ...["0.25", "0.5", "1", "2"].map((rate) => option(rate, `${rate}×`, "1")));
  const looping = h("select", { "aria-label": "Loop", onchange: () => { const { event, prediction } = get("reading").loops; setLoop({ event, prediction, span: loop }[looping.value] ?? null, looping.value); } },
    option("", "no loop", ""), option("event", "loop the event", ""), option("prediction", "loop the prediction", ""), option("span", "loop my span", ""));
  function setLoop(span, name = span ? "span" : "") {
    loop = span; looping.value = span ? name : "";
    if (name === "span" && !span) tell("Choose a span first: hold shift and drag over the timeline, or press [ and ].");
    if (span && (now() < span[0] || now() >= span[1])) jump(span[0]);
    follow();
  }
  const kind = h("select", { "aria-label": "How the sound is shown", onchange: () => put("sound_kind", kind.value) }, option("waveform", "waveform", ""), option("mel", "mel spectrogram", ""));
  const transport = h("div", { class: "transport" }, play, clock, speed, looping, kind,
    h("span", { class: "zoom", role: "group", "aria-label": "Zoom" }, button("−", () => zoom(2), { "aria-label": "Zoom out" }), button("+", () => zoom(0.5), { "aria-label": "Zoom in" }), button("all", () => view(0, duration()), { "aria-label": "Show the whole clip" })));

  // ---- settings, metrics
  const output = (name) => h("output", { for: `${id}-${name}`, "aria-live": "off" }); // the slider says it itself
  const outputs = { tau: output("tau"), score_smooth_sigma: output("smooth") };
  const tau = h("input", { type: "range", id: `${id}-tau`, min: -2, max: 1, step: 0.02, oninput: () => ask("tau", Number((10 ** Number(tau.value)).toPrecision(3))) });
  const smooth = h("input", { type: "range", id: `${id}-smooth`, min: 0, max: 2, step: 0.05, oninput: () => ask("score_smooth_sigma", Number(smooth.value)) });
  const query = h("select", { onchange: () => ask("audio_query", query.value) }), reduce = h("select", { onchange: () => ask("multi_reduce", reduce.value) });
  const fusion = h("select", { onchange: () => ask("scale_fusion", fusion.value) }), compare = h("select", { onchange: () => ask("compare", compare.value) });
  const lengths = h("div", { class: "lengths" });
  const slider = (words, node, shown, hint) => h("div", { class: "slider", title: hint }, h("label", { for: node.id }, words), shown, node);
  const reduceField = field("Fuse queries by", reduce), fusionField = field("Fuse lengths by", fusion);
  const settings = h("fieldset", {}, h("legend", {}, "Settings"),
    slider("Temperature τ", tau, outputs.tau, "Low: the highest moment takes all. High: all moments alike. It moves no bare peak."),
    slider("Smoothing", smooth, outputs.score_smooth_sigma, "Standard deviation of a Gaussian over the scores, in seconds"),
    h("div", { class: "field", role: "group", "aria-label": "Lengths of sound windows, seconds" }, h("span", {}, "Sound windows"), lengths), h("div", { class: "tall" }, field("Picture compared with the sound", query)), reduceField, fusionField,
    h("div", { class: "tall" }, field("Compare with", compare)), h("div", { class: "row" }, button("Pin to compare", () => { asked ||= performance.now(); wait(); wish("pin"); }), button("As in the run", () => { asked ||= performance.now(); wait(); wish("reset"); }, { title: "Put all settings back to those that the run was evaluated with" })));
  const metrics = h("table", { class: "metrics" });
  function showSettings() {
    const { queries, fusions, comparisons } = get("choices"), available = get("clip").lengths ?? [];
    if (document.activeElement !== tau) tau.value = Math.log10(get("tau"));
    if (document.activeElement !== smooth) smooth.value = get("score_smooth_sigma");
    const rounded = (name) => String(Number(get(name).toPrecision(3)));
    tau.setAttribute("aria-valuetext", rounded("tau")); outputs.tau.textContent = rounded("tau");
    smooth.setAttribute("aria-valuetext", `${rounded("score_smooth_sigma")} seconds`); outputs.score_smooth_sigma.textContent = `${rounded("score_smooth_sigma")} s`;
    query.replaceChildren(...Object.entries(queries).map(([name, words]) => option(name, words, get("audio_query"))));
    reduce.replaceChildren(...fusions.map((name) => option(name, name, get("multi_reduce"))));
    fusion.replaceChildren(...fusions.map((name) => option(name, name, get("scale_fusion"))));
    compare.replaceChildren(...Object.entries(comparisons).map(([name, words]) => option(name, words, get("compare"))));
    reduceField.hidden = !["multi", "all"].includes(get("audio_query")); fusionField.hidden = get("L_sec").length < 2;
    const chosen = new Set(get("L_sec")), focused = lengths.contains(document.activeElement) && document.activeElement.value;
    lengths.replaceChildren(...available.map((length) => {
      const box = h("input", { type: "checkbox", value: length, onchange: () => ask("L_sec", [...lengths.querySelectorAll("input:checked")].map((node) => Number(node.value))) });
      box.checked = chosen.has(length);
      return h("label", { class: "check" }, box, `${length} s`);
    }));
    if (focused) lengths.querySelector(`input[value="${focused}"]`)?.focus();
    settings.disabled = !available.length;
  }
  function showReading() {
    const { sentence, columns, metrics: rows, problem } = get("reading");
    saying.textContent = sentence; saying.classList.toggle("problem", Boolean(problem));
    const header = columns.length > 1 ? [h("thead", {}, h("tr", {}, h("th", {}, ""), ...columns.map((name) => h("th", { scope: "col" }, name))))] : [];
    metrics.replaceChildren(h("caption", {}, rows.length ? "This clip" : ""), ...header, h("tbody", {}, ...rows.map((row) => h("tr", { title: row.help }, h("th", { scope: "row" }, row.name), ...row.values.map((value) => h("td", {}, value))))));
    arrived();
    requestAnimationFrame(() => { if (asked) { root.dataset.redrawMs = (performance.now() - asked).toFixed(1); asked = 0; } root.dataset.drawn = get("reading").n; });
    follow();
  }

  // ---- events of one's own
  // Bounds that are not saved yet wait with their clip; a mark that was deleted can be put back until the next clip.
  let begun = null, ended = null, gone = null, offered = "";
  const drafts = {};
  const label = h("input", { type: "text", list: `${id}-labels`, "aria-label": "What the event is" }), labels = h("datalist", { id: `${id}-labels` });
  const bounds = h("span", { class: "bounds", role: "status" }), marked = h("ul", { class: "marks" });
  const begin = () => { begun = now(); if (ended !== null && ended <= begun) ended = null; drawMark(); };
  const finish = () => { ended = now(); if (begun !== null && begun >= ended) begun = null; drawMark(); };
  function drawMark() {
    bounds.textContent = begun === null && ended === null ? "" : `${begun === null ? "…" : seconds(begun)} to ${ended === null ? "…" : seconds(ended)}`;
    save.disabled = begun === null || ended === null;
    follow();
  }
  function saveMark() { if (begun === null || ended === null) tell("Press i where the event starts and o where it ends, then m."); else wish("mark", { start: begun, end: ended, label: label.value }); }
  function keepDraft() {
    if (begun === null && ended === null) return "";
    const { video_id } = get("clip"), words = bounds.textContent;
    drafts[video_id] = [begun, ended];
    begun = ended = null;
    drawMark();
    return `Not saved yet: ${words} in ${video_id}. It waits there.`;
  }
  const leaving = (event) => { if (begun !== null || ended !== null || Object.keys(drafts).length) event.preventDefault(); };
  window.addEventListener("beforeunload", leaving);
  const save = button("Save event (m)", saveMark, { class: "main" });
  const annotate = h("fieldset", { class: "annotate" }, h("legend", {}, "Mark events"), field("Label", label), labels,
    h("div", { class: "row" }, button("Starts here (i)", begin), button("Ends here (o)", finish), bounds), h("div", { class: "row" }, save, button("No event in this clip", () => wish("no_event"))), marked);
  function showMarks() {
    const marks = get("marks"), { labels: known, save_csv } = get("choices");
    labels.replaceChildren(...known.map((name) => option(name, name)));
    annotate.disabled = !save_csv; annotate.hidden = !save_csv;
    annotate.querySelector("legend").textContent = `Mark events, saved in ${save_csv}`;
    const held = marked.contains(document.activeElement);
    const back = gone && h("li", {}, button("Put back what was deleted", () => { const [words, start, end] = gone; gone = null; start === null ? wish("no_event") : wish("mark", { start, end, label: words }); }));
    marked.replaceChildren(...marks.map(([words, start, end], k) => {
      const said = start === null ? `no event (${words})` : `${words}: ${seconds(start)} to ${seconds(end)}`;
      return h("li", {}, said, " ", button("Delete", () => { gone = marks[k]; wish("unmark", { n: k }); }, { "aria-label": `Delete ${said}` }), start === null ? null : button("Go", () => jump(start), { "aria-label": `Go to ${said}` }));
    }), ...[back].filter(Boolean));
    if (held) (marked.querySelector("button") ?? label).focus();
  }
  function tell(words) { said.textContent = words; }
  on("change:said", () => { const { text, done } = get("said"); tell(text); arrived(); if (done) { begun = ended = null; drawMark(); } });

  // ---- keys
  const help = h("details", { class: "keys" }, h("summary", {}, "Keys"), h("dl", {}, ...KEYS.map(([key, words]) => h("div", {}, h("dt", {}, key), h("dd", {}, words)))));
  const bracket = (k) => { const t = now(), old = loop ?? [0, duration()]; setLoop(k ? (old[0] < t ? [old[0], t] : [0, t]) : (old[1] > t ? [t, old[1]] : [t, duration()])); };
  const acts = {
    " ": toggle, ArrowLeft: (event) => jump(now() - (event.shiftKey ? 1 : 0.1)), ArrowRight: (event) => jump(now() + (event.shiftKey ? 1 : 0.1)), Home: () => jump(0), End: () => jump(duration()),
    ",": () => jump(now() - 1 / get("clip").fps), ".": () => jump(now() + 1 / get("clip").fps), n: () => step(1), p: () => step(-1), "/": () => search.focus(), "?": () => { help.open = !help.open; },
    "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: () => view(0, duration()), "[": () => bracket(0), "]": () => bracket(1),
    l: () => { const { event, prediction } = get("reading").loops; if (loop) setLoop(null); else setLoop(event ?? prediction ?? null, event ? "event" : "prediction"); }, i: begin, o: finish, m: saveMark,
  };
  function pressed(event) {
    const at = event.target, writes = at.matches("input[type=text], input[type=search], textarea");
    if (event.key === "Escape" && (writes || at.matches("select"))) { timeline.focus(); return; }
    if (writes || event.ctrlKey || event.metaKey || event.altKey) return;
    const own = { SELECT: true, BUTTON: event.key === " ", SUMMARY: event.key === " ", INPUT: event.key === " " || event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End" }[at.tagName];
    if (own) return;
    const inList = list.contains(at) && { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    if (inList) step(inList);
    else if (acts[event.key]) acts[event.key](event);
    else return;
    event.preventDefault();
  }
  // Before JupyterLab sees it: there, d d deletes a cell, and the arrows move between them. What is held with ctrl is its own.
  function guard(event) {
    if (!root.contains(event.target)) return;
    pressed(event);
    if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
  }
  window.addEventListener("keydown", guard, true);

  // ---- together
  const screen = h("div", { class: "screen" }, h("div", { class: "picture" }, video, notice), matrix);
  const stage = h("section", { class: "stage", "aria-label": "The clip" }, h("header", {}, title, chips, working), saying, said, screen, transport, timeline, pan, legend, help);
  const side = h("aside", { class: "side", "aria-label": "Settings, numbers and your marks" }, settings, metrics, annotate);
  const root = h("div", { class: "avesound inspector" }, h("div", { class: "grid" }, clips, stage, side));
  el.append(root);

  const fill = (node, name) => { node.innerHTML = get(name); }; // drawn by the kernel, words escaped there
  on("change:rows change:order", showPlace);
  on("change:video_id", () => { // what was told is about the clip before
    showPlace();
    if (get("video_id") === get("clip").video_id) return;
    tell(keepDraft());
    stage.classList.add("stale");
    title.textContent = get("video_id");
  });
  on("change:choices", () => { fillFilters(); showSettings(); showMarks(); });
  on("change:clip", () => { loadClip(); showSettings(); });
  on("change:sound", () => { fill(sound, "sound"); arrived(); follow(); });
  on("change:curves", () => { fill(curves, "curves"); arrived(); follow(); });
  on("change:legend", () => fill(legend, "legend"));
  on("change:matrix", showMatrix);
  on("change:reading", showReading);
  on("change:marks", showMarks);
  on("change:span", showSpan);
  on(SETTINGS.concat("compare").map((name) => `change:${name}`).join(" "), showSettings);
  on("change:sound_kind", () => { kind.value = get("sound_kind"); });
  function showMatrix() { fill(matrix, "matrix"); matrix.append(cross); matrix.hidden = !get("matrix"); follow(); }

  const sized = new ResizeObserver(() => {
    const width = Math.round(timeline.clientWidth / 8) * 8;
    if (width >= 240 && width !== get("width")) put("width", width);
  });
  sized.observe(timeline);
  for (const [node, name] of [[sound, "sound"], [curves, "curves"], [legend, "legend"]]) fill(node, name);
  fillFilters(); showSettings(); showMatrix(); showReading(); showMarks(); loadClip(); showSpan(); drawMark();
  kind.value = get("sound_kind");
  put("page", pageFacts());

  return () => {
    listeners.forEach(([name, act]) => model.off(name, act));
    window.removeEventListener("keydown", guard, true);
    window.removeEventListener("beforeunload", leaving);
    sized.disconnect();
    cancelAnimationFrame(frames);
    clearTimeout(waiting); clearTimeout(typing);
    video.pause();
    video.removeAttribute("src");
    video.load();
  };
}

export default { render };
