"use strict";
// Fetches this page again every few seconds and puts its changed parts in place. Without it the
// page says the same, as of when it was loaded.
(() => {
  const EVERY = 5000;
  const PATIENCE = 10000;
  const live = document.getElementById("live");
  const pause = document.getElementById("pause");
  let paused = false;
  let timer = 0;

  const show = (tone, text) => {
    if (live.textContent !== text) live.textContent = text;
    live.dataset.tone = tone;
  };

  const isInUse = (part) => {
    const selection = document.getSelection();
    const selects = selection && !selection.isCollapsed && part.contains(selection.anchorNode);
    return selects || (part !== document.activeElement && part.contains(document.activeElement));
  };

  const adopt = (fresh) => {
    document.title = fresh.title;
    document.querySelector("link[rel=icon]").href = fresh.querySelector("link[rel=icon]").href;
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = fresh.getElementById(part.id);
      if (!next || next.innerHTML === part.innerHTML || isInUse(part)) continue;
      const open = new Set([...part.querySelectorAll("details[open]")].map((one) => one.id));
      for (const one of next.querySelectorAll("details")) one.open ||= open.has(one.id);
      part.replaceChildren(...next.childNodes);
    }
  };

  const refresh = async () => {
    clearTimeout(timer);
    if (paused || document.hidden) return;
    try {
      const reply = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      if (!reply.ok) throw new Error(String(reply.status));
      adopt(new DOMParser().parseFromString(await reply.text(), "text/html"));
      show("good", "Live");
    } catch {
      show("bad", "No answer: older figures");
    }
    timer = setTimeout(refresh, EVERY);
  };

  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Resume" : "Pause";
    if (paused) show("quiet", "Paused");
    refresh();
  });
  document.addEventListener("visibilitychange", refresh);
  pause.hidden = false;
  show("good", "Live");
  timer = setTimeout(refresh, EVERY);
})();
