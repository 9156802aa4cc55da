/* A page that says so looks again by itself. Only the parts that are marked are replaced, and only where they have
   changed: a reason that is being typed stays, and so does the place of the keyboard. Without this there is a link. */
"use strict";
(() => {
  const asked = () => document.querySelector("[data-again]");
  const say = () => document.querySelectorAll("[data-again]").forEach((item) => { item.hidden = false; });

  async function look() {
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      if (answer.redirected) return; // the session has ended
      if (answer.ok) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const part of document.querySelectorAll("[data-part]")) {
          const made = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
          made?.querySelectorAll("[data-again]").forEach((item) => { item.hidden = false; });
          if (made && made.outerHTML !== part.outerHTML && !part.contains(document.activeElement)) part.replaceWith(made);
        }
      }
    } catch {
      // out of reach for a moment: the next look may find it
    }
    wait();
  }

  function wait() {
    const item = asked();
    if (item) setTimeout(look, Number(item.dataset.again) * 1000);
  }

  say();
  wait();
})();
