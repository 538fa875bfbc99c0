// Where the page comes from, which the kernel cannot know: Jupyter's folder and address.

export function pageFacts() {
  let config = {};
  try { config = JSON.parse(document.getElementById("jupyter-config-data").textContent); } catch { /* not Jupyter */ }
  const host = location.protocol.startsWith("http") ? location.hostname : "";
  return { server_root: config.serverRoot || "", base_url: config.baseUrl || "", host };
}

// Jupyter asks for this where it protects reading as well.
export function withXsrf(url) {
  const token = url.startsWith("/") && document.cookie.match("\\b_xsrf=([^;]*)\\b");
  return token ? `${url}?_xsrf=${encodeURIComponent(token[1])}` : url;
}
