// A still that plays: a line over the drawings at the player's moment, and a way to go to any other.
(() => {
  const figure = document.currentScript.previousElementSibling, media = figure.querySelector("video, audio"), lanes = figure.querySelector(".lanes"), head = lanes.querySelector(".playhead");
  const { left, right, width } = lanes.querySelector("svg").dataset, end = Number(lanes.getAttribute("aria-valuemax"));
  function follow() {
    const t = Math.min(media.currentTime, end);
    head.style.left = `${100 * (Number(left) + t / end * (right - left)) / width}%`;
    if (!media.paused) { requestAnimationFrame(follow); return; } // while it plays, a screen reader lets the clip be heard
    lanes.setAttribute("aria-valuenow", t.toFixed(2));
    lanes.setAttribute("aria-valuetext", `${t.toFixed(2)} of ${end.toFixed(2)} seconds`);
  }
  const seek = (t) => { media.currentTime = Math.max(0, Math.min(t, (media.duration || end) - 0.001)); };
  for (const event of ["play", "pause", "seeking", "seeked", "loadedmetadata"]) media.addEventListener(event, follow);
  function point(event) {
    const box = lanes.getBoundingClientRect();
    seek(((event.clientX - box.left) / box.width * width - left) / (right - left) * end);
  }
  lanes.addEventListener("pointerdown", (event) => { if (!event.button) { lanes.setPointerCapture(event.pointerId); point(event); } });
  lanes.addEventListener("pointermove", (event) => { if (lanes.hasPointerCapture(event.pointerId)) point(event); });
  lanes.addEventListener("keydown", (event) => {
    const t = media.currentTime, by = event.shiftKey ? 1 : 0.1, to = { ArrowLeft: t - by, ArrowRight: t + by, Home: 0, End: end }[event.key];
    if (to !== undefined) seek(to);
    else if (event.key === " ") { if (media.paused) media.play(); else media.pause(); } else return;
    event.preventDefault();
  });
  follow();
  try { // in a frame of the documentation it is as light or dark as the page around it
    const page = window.parent.document.body, match = () => { for (const name of ["quarto-dark", "quarto-light"]) document.documentElement.classList.toggle(name, page.classList.contains(name)); };
    if (window.parent !== window) { match(); new MutationObserver(match).observe(page, { attributes: true, attributeFilter: ["class"] }); }
  } catch { /* a page from elsewhere keeps that to itself */ }
})();
