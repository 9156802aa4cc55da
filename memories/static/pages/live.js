/* Microphone or file to the socket; words from it. The socket's token is fetched for each, and is never kept. */
"use strict";
(() => {
  const page = document.querySelector("[data-live]");
  if (!page) return;
  const one = (name) => page.querySelector(`[data-${name}]`);
  const [start, stop, said, words, level] = ["start", "stop", "status", "words", "level"].map(one);
  const file = page.querySelector("#file");
  const RATE = 16000, STEP = 1600, SPEED = 4, COLOURS = 8;
  let now = null;

  const tell = (text) => { said.textContent = text; };

  async function token() {
    const csrf = page.querySelector("[name=csrfmiddlewaretoken]").value;
    const answer = await fetch("/app/live/token", { method: "POST", headers: { "X-CSRFToken": csrf }, redirect: "error" });
    if (!answer.ok) throw new Error("no token");
    return (await answer.json()).token;
  }

  async function connect() {
    tell(page.dataset.opening);
    const given = await token();
    const place = new URL("/v4/web/listen", location.href);
    place.protocol = place.protocol === "https:" ? "wss:" : "ws:";
    const language = page.querySelector("#language").value.trim() || "en";
    place.search = new URLSearchParams({ codec: "pcm16", sample_rate: String(RATE), language });
    const socket = new WebSocket(place);
    socket.binaryType = "arraybuffer";
    await new Promise((resolve, reject) => {
      socket.addEventListener("error", () => reject(new Error("no socket")), { once: true });
      socket.addEventListener("close", () => reject(new Error("closed")), { once: true });
      socket.addEventListener("open", () => socket.send(JSON.stringify({ type: "auth", token: given })), { once: true });
      socket.addEventListener("message", (event) => {
        const message = JSON.parse(event.data);
        if (message.type === "auth_response") (message.success ? resolve : reject)(message.success ? null : new Error("refused"));
      });
    });
    socket.addEventListener("message", (event) => heard(JSON.parse(event.data)));
    socket.addEventListener("close", () => ended(page.dataset.failed));
    return socket;
  }

  function heard(message) {
    if (Array.isArray(message)) message.forEach(show);
    else if (message.type === "service_status" && message.status === "token_expires") {
      token().then((fresh) => now?.socket.send(JSON.stringify({ type: "auth", token: fresh }))).catch(() => {});
    } else if (message.type === "service_status" && message.status_text && message.status !== "ready") tell(message.status_text);
    else if ((message.type === "new_memory_created" || message.type === "memory_updated") && now?.ending) {
      const id = message.memory?.id ?? message.memory_id;
      ended(page.dataset.ended);
      if (!id) return;
      const link = document.createElement("a");
      link.href = `/app/memories/${encodeURIComponent(id)}`;
      link.textContent = page.dataset.made;
      said.append(" ", link);
    } else if (message.type === "new_memory_create_failed") ended(page.dataset.failed);
  }

  function show(segment) {
    const known = [...words.children].find((row) => row.dataset.id === segment.id);
    const row = known ?? words.appendChild(document.createElement("li"));
    if (!known) {
      row.dataset.id = segment.id;
      row.append(...["who", "text"].map((kind) => Object.assign(document.createElement("p"), { className: kind })));
      row.firstChild.append(Object.assign(document.createElement("span"), { className: "name" }));
    }
    row.className = `voice-${segment.is_user ? 0 : 1 + (segment.speaker_id % (COLOURS - 1))}`;
    row.querySelector(".name").textContent = segment.is_user ? page.dataset.you : `${page.dataset.speaker} ${segment.speaker_id}`;
    row.querySelector(".text").textContent = segment.text;
    if (!known) row.scrollIntoView({ block: "nearest" });
  }

  function send(samples) {
    if (!now || now.socket.readyState !== WebSocket.OPEN || now.ending) return;
    now.socket.send(samples);
    const view = new Int16Array(samples);
    level.value = Math.sqrt(view.reduce((sum, value) => sum + value * value, 0) / view.length) / 8000;
  }

  async function begin(source) {
    if (now) return;
    start.hidden = true;
    stop.hidden = false;
    words.textContent = "";
    now = { socket: null, end: () => {}, ending: false };
    try {
      now.socket = await connect();
    } catch {
      return ended(page.dataset.failed);
    }
    tell(page.dataset.listening);
    try {
      await source();
    } catch (error) {
      ended(error instanceof DOMException && error.name === "NotAllowedError" ? page.dataset.denied : page.dataset.unread);
    }
  }

  async function microphone() {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: true } });
    const context = new AudioContext({ sampleRate: RATE });
    now.end = () => {
      for (const track of stream.getTracks()) track.stop();
      context.close();
    };
    await context.audioWorklet.addModule(page.dataset.worklet);
    const node = new AudioWorkletNode(context, "microphone");
    node.port.onmessage = (event) => send(event.data);
    context.createMediaStreamSource(stream).connect(node).connect(context.destination);  // silence: it is pulled along
  }

  async function recording() {
    const bytes = await file.files[0].arrayBuffer();
    const found = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(bytes);
    const channels = Array.from({ length: found.numberOfChannels }, (_, number) => found.getChannelData(number));
    let at = 0;
    const timer = setInterval(() => {
      if (!now || now.ending || at >= found.length) {
        clearInterval(timer);
        if (now && !now.ending) finish();
        return;
      }
      const piece = new Int16Array(Math.min(STEP, found.length - at));
      for (let i = 0; i < piece.length; i++, at++) {
        const value = channels.reduce((sum, channel) => sum + channel[at], 0) / channels.length;
        piece[i] = Math.max(-1, Math.min(1, value)) * 32767;
      }
      send(piece.buffer);
    }, (1000 * STEP) / RATE / SPEED);
    now.end = () => clearInterval(timer);
  }

  function finish() {
    if (!now?.socket || now.ending) return ended(page.dataset.ended);
    now.ending = true;
    now.end();
    stop.hidden = true;
    tell(page.dataset.ending);
    now.socket.send(JSON.stringify({ type: "finish" }));
    const mine = now;
    // Where nothing was said there will be no memory to wait for.
    setTimeout(() => { if (now === mine) ended(page.dataset.ended); }, words.children.length ? 120000 : 10000);
  }

  function ended(text) {
    if (!now) return;
    const { socket, end } = now;
    now = null;
    end();
    socket?.close();
    level.value = 0;
    start.hidden = false;
    stop.hidden = true;
    file.value = "";
    tell(text);
  }

  start.addEventListener("click", () => begin(microphone));
  stop.addEventListener("click", finish);
  file.addEventListener("change", () => { if (file.files.length) begin(recording); });
})();
