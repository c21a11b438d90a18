// The status page keeps itself fresh: it is asked for anew, and says so when it is not had. Without scripts it is loaded anew.

const EVERY_MS = 15_000;

async function refresh() {
  if (document.hidden) return;
  const stale = document.getElementById("stale");
  try {
    const answer = await fetch("/status", { signal: AbortSignal.timeout(10_000) });
    if (!answer.ok) throw new Error(String(answer.status));
    const found = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.title = found.title;
    document.querySelector("main").replaceWith(document.adoptNode(found.querySelector("main")));
  } catch {
    document.querySelector("main").dataset.stale = "";
    stale.textContent = "Heimdall is not reached: this is how it was.";
  }
}

setInterval(refresh, EVERY_MS);
document.addEventListener("visibilitychange", refresh);
