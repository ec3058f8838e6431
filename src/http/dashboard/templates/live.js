// Keeps a story up to date: when the server says that it has changed, its part of the page is fetched and put in place.
"use strict";
(() => {
  const story = document.getElementById("story");
  const light = document.querySelector(".live");
  if (!story || !window.EventSource) return;
  let fetching = false;
  let again = false;

  async function refresh() {
    if (fetching) { again = true; return; }
    fetching = true;
    try {
      const answer = await fetch(story.dataset.part, { redirect: "manual" });
      if (answer.type === "opaqueredirect") { location.reload(); return; }
      if (answer.ok) put(await answer.text());
    } catch { /* The server is away; its next event or the next minute brings what is new. */ }
    fetching = false;
    if (again) { again = false; refresh(); }
  }

  // A button that is about to be pressed stays where the keyboard is.
  function put(html) {
    const forms = () => [...story.querySelectorAll("form")];
    const held = document.activeElement?.closest?.("#story form")?.getAttribute("action");
    story.innerHTML = html;
    forms().find((form) => form.getAttribute("action") === held)?.querySelector("button")?.focus({ preventScroll: true });
  }

  function show(word, on) {
    light.textContent = word;
    light.classList.toggle("on", on);
  }

  const source = new EventSource(story.dataset.live);
  source.onopen = () => show("live", true);
  source.onmessage = refresh;
  source.onerror = () => show("connecting again…", false);
  // "4 min ago" grows old by itself.
  setInterval(() => { if (!document.hidden) refresh(); }, 60_000);
})();
