/* A memory's page works without this. With it: the recording in step with the words, copying, one press per form. */
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);

  /* Times: the reader's own zone beside UTC. */
  for (const item of all(".memory time[datetime]")) {
    const at = new Date(item.dateTime);
    if (!Number.isNaN(at.getTime())) item.title = `${at.toLocaleString()} here`;
  }

  for (const item of all(".memory .scripted")) item.hidden = false;

  /* Copy for ticket. */
  for (const button of all("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      const said = one("[data-copied]", button.parentElement);
      try {
        await navigator.clipboard.writeText(source.textContent);
        said.textContent = "Copied.";
      } catch {
        getSelection().selectAllChildren(source);
        said.textContent = document.execCommand("copy") ? "Copied." : "Marked: copy it with the keyboard.";
      }
    });
  }

  /* A choice shows at once what it would do, and a reason that was typed stays; a form is sent once. */
  for (const choice of all("[data-preview]")) {
    choice.addEventListener("change", () => choice.form.requestSubmit(one("[name=preview]")));
  }
  for (const form of all("form[data-once]")) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) event.preventDefault();
      form.dataset.sent = "yes";
    });
  }
  addEventListener("pageshow", () => all("form[data-once]").forEach((form) => delete form.dataset.sent));

  /* The player. */
  const player = one("[data-player]");
  const audio = player && one("[data-audio]", player);
  const list = player && one("[data-transcript]", player);
  if (!audio || !list) return;
  const rows = [...list.children].map((row) => ({
    row, start: Number(row.dataset.start), end: Number(row.dataset.end), text: one(".text", row),
  }));
  const head = one("[data-playhead]", player);
  const wave = one("[data-waveform]", player);
  let current = null;
  let spoken = [];
  list.classList.add("live");
  wave.classList.add("live");

  const whole = () => (Number.isFinite(audio.duration) && audio.duration) || Number(player.dataset.seconds) || 1;

  function play(at) {
    const start = () => {
      audio.currentTime = Math.max(0, Math.min(at, whole()));
      audio.play().catch(() => {});
    };
    if (audio.readyState >= 1) return start();
    audio.addEventListener("loadedmetadata", start, { once: true });
    audio.load();
  }

  /* A word's time is its share of its segment's letters. */
  const share = (item, offset) => item.start + (item.end - item.start) * (offset / Math.max(1, item.text.textContent.length));

  function offsetAt(item, event) {
    let node, offset;
    if (document.caretPositionFromPoint) {
      const found = document.caretPositionFromPoint(event.clientX, event.clientY);
      if (found) [node, offset] = [found.offsetNode, found.offset];
    } else if (document.caretRangeFromPoint) {
      const found = document.caretRangeFromPoint(event.clientX, event.clientY);
      if (found) [node, offset] = [found.startContainer, found.startOffset];
    }
    if (!node || !item.text.contains(node)) return 0;
    const range = document.createRange();
    range.setStart(item.text, 0);
    range.setEnd(node, offset);
    const before = range.toString();
    return before.length - (/\S*$/.exec(before)?.[0].length ?? 0);
  }

  list.addEventListener("click", (event) => {
    const item = rows.find((each) => each.row.contains(event.target));
    if (!item) return;
    if (event.target.closest(".at")) {
      event.preventDefault();
      play(item.start);
    } else if (event.target.closest(".text") && !String(getSelection())) {
      play(share(item, offsetAt(item, event)));
    }
  });

  wave.addEventListener("click", (event) => {
    const box = wave.getBoundingClientRect();
    play((whole() * (event.clientX - box.left)) / box.width);
  });

  function find(at) {
    let low = 0, high = rows.length - 1, best = null;
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (rows[middle].start <= at) { best = rows[middle]; low = middle + 1; } else high = middle - 1;
    }
    return best && at <= best.end + 0.3 ? best : null;
  }

  function leave() {
    if (!current) return;
    current.row.classList.remove("now");
    current.row.removeAttribute("aria-current");
    current.text.textContent = current.text.textContent;
    current = null;
    spoken = [];
  }

  function enter(item) {
    leave();
    if (!item) return;
    current = item;
    item.row.classList.add("now");
    item.row.setAttribute("aria-current", "true");
    const text = item.text.textContent;
    item.text.textContent = "";
    let offset = 0;
    for (const piece of text.split(/(\s+)/)) {
      if (/\S/.test(piece)) {
        const word = document.createElement("span");
        word.textContent = piece;
        item.text.append(word);
        spoken.push({ word, at: item.start + (item.end - item.start) * (offset / Math.max(1, text.length)) });
      } else item.text.append(piece);
      offset += piece.length;
    }
    const box = list.getBoundingClientRect(), mine = item.row.getBoundingClientRect();
    if (mine.top < box.top || mine.bottom > box.bottom) list.scrollTop += mine.top - box.top - box.height / 3;
  }

  function follow() {
    const at = audio.currentTime;
    const x = `${(100 * at) / whole()}%`;
    head.setAttribute("x1", x);
    head.setAttribute("x2", x);
    const item = find(at);
    if (item !== current) enter(item);
    let last = null;
    for (const each of spoken) {
      each.word.classList.remove("word");
      if (each.at <= at) last = each;
    }
    last?.word.classList.add("word");
  }
  audio.addEventListener("timeupdate", follow);
  audio.addEventListener("seeked", follow);

  player.addEventListener("keydown", (event) => {
    if (event.target.closest("input, textarea, select, audio") || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = rows.indexOf(current);
    const step = (index) => rows[index] && play(rows[Math.max(0, index)].start);
    const keys = {
      " ": () => (audio.paused ? play(audio.currentTime) : audio.pause()),
      ArrowLeft: () => play(audio.currentTime - 5),
      ArrowRight: () => play(audio.currentTime + 5),
      ArrowUp: () => step(Math.max(0, at - 1)),
      ArrowDown: () => step(at + 1),
    };
    if (keys[event.key] && !(event.key === " " && event.target.closest("a, button, summary"))) {
      event.preventDefault();
      keys[event.key]();
    }
  });
})();
