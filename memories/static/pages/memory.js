/* A memory's page works without this. With it: the recording in step with the words, and keys. */
"use strict";
(() => {
  const player = document.querySelector("[data-player]");
  const audio = player?.querySelector("[data-audio]");
  const list = player?.querySelector("[data-transcript]");
  if (!audio || !list) return;
  for (const item of player.querySelectorAll(".scripted")) item.hidden = false;
  const rows = [...list.querySelectorAll("li[data-start]")].map((row) => ({
    row, start: Number(row.dataset.start), end: Number(row.dataset.end), text: row.querySelector(".text"),
  }));
  const wave = player.querySelector("[data-wave]");
  const head = player.querySelector("[data-head]");
  let current = null;
  let words = [];
  list.classList.add("live");
  wave?.classList.add("live");
  const whole = () => (Number.isFinite(audio.duration) && audio.duration) || rows.at(-1)?.end || 1;

  function when(ready) {
    if (audio.readyState >= 1) ready();
    else {
      audio.addEventListener("loadedmetadata", ready, { once: true });
      audio.load();
    }
  }
  const seek = (at) => when(() => { audio.currentTime = Math.max(0, Math.min(at, whole())); });
  const play = (at) => when(() => {
    audio.currentTime = Math.max(0, Math.min(at, whole()));
    audio.play().catch(() => {});
  });

  /* The moment that a link named waits there; it does not play by itself. */
  if (audio.dataset.moment) seek(Number(audio.dataset.moment));

  /* A word's time is its share of its passage's letters. */
  const share = (item, letters) => item.start + (item.end - item.start) * (letters / Math.max(1, item.text.textContent.length));

  function lettersBefore(item, event) {
    const place = document.caretPositionFromPoint?.(event.clientX, event.clientY);
    const range = place ? null : document.caretRangeFromPoint?.(event.clientX, event.clientY);
    const node = place?.offsetNode ?? range?.startContainer;
    if (!node || !item.text.contains(node)) return 0;
    const before = document.createRange();
    before.setStart(item.text, 0);
    before.setEnd(node, place?.offset ?? range.startOffset);
    const said = before.toString();
    return said.length - (/\S*$/.exec(said)?.[0].length ?? 0);
  }

  list.addEventListener("click", (event) => {
    const item = rows.find((each) => each.row.contains(event.target));
    if (!item) return;
    if (event.target.closest(".at")) {
      event.preventDefault();
      play(item.start);
    } else if (event.target.closest(".text") && !String(getSelection())) play(share(item, lettersBefore(item, event)));
  });
  wave?.addEventListener("click", (event) => {
    const box = wave.getBoundingClientRect();
    play((whole() * (event.clientX - box.left)) / box.width);
  });

  function find(at) {
    let low = 0, high = rows.length - 1, best = null;
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (rows[middle].start <= at + 0.01) { best = rows[middle]; low = middle + 1; } else high = middle - 1;
    }
    return best;
  }

  function enter(item) {
    if (current) {
      current.row.classList.remove("now");
      current.row.removeAttribute("aria-current");
      current.text.textContent = current.text.textContent;
    }
    current = item;
    words = [];
    if (!item) return;
    item.row.classList.add("now");
    item.row.setAttribute("aria-current", "true");
    const text = item.text.textContent;
    item.text.textContent = "";
    let letters = 0;
    for (const piece of text.split(/(\s+)/)) {
      if (/\S/.test(piece)) {
        const word = document.createElement("span");
        word.textContent = piece;
        item.text.append(word);
        words.push({ word, at: item.start + (item.end - item.start) * (letters / Math.max(1, text.length)) });
      } else item.text.append(piece);
      letters += piece.length;
    }
    const box = item.row.getBoundingClientRect();
    const top = player.querySelector(".player").getBoundingClientRect().bottom;
    if (!audio.paused && (box.top < top || box.bottom > innerHeight)) scrollBy({ top: box.top - top - 24 });
  }

  function follow() {
    const at = audio.currentTime;
    head?.setAttribute("x", String((1000 * at) / whole()));
    const item = find(at);
    if (item !== current) enter(item);
    const spoken = words.filter((each) => each.at <= at).at(-1);
    for (const each of words) each.word.classList.toggle("word", each === spoken);
  }
  audio.addEventListener("timeupdate", follow);
  audio.addEventListener("seeked", follow);

  const toggle = () => (audio.paused ? play(audio.currentTime) : audio.pause());
  const step = (by) => {
    const next = rows[Math.max(0, Math.min(rows.length - 1, rows.indexOf(current) + by))];
    if (next) play(next.start);
  };
  const keys = {
    " ": toggle, k: toggle, j: () => seek(audio.currentTime - 10), l: () => seek(audio.currentTime + 10),
    ArrowLeft: () => seek(audio.currentTime - 5), ArrowRight: () => seek(audio.currentTime + 5),
    ArrowUp: () => step(-1), ArrowDown: () => step(1),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, audio")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (!keys[key] || (key === " " && event.target.closest("a, button, summary"))) return;
    event.preventDefault();
    keys[key]();
  });
})();
