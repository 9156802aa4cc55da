/* Recordings sent as an app sends them: announced, then in pieces that may break off and go on where they did. */
"use strict";
(() => {
  const form = document.querySelector("[data-offline]");
  const list = form.querySelector("[data-files]");
  const send = form.querySelector("[data-send]");
  const said = form.querySelector("[data-said]");
  const TRIES = 5;
  const DECODED = 20 * 1024 * 1024;
  let chosen = [];
  form.hidden = false;

  async function call(path, options = {}) {
    const csrf = form.querySelector("[name=csrfmiddlewaretoken]").value;
    const granted = await fetch("/app/live/token", { method: "POST", headers: { "X-CSRFToken": csrf }, redirect: "error" });
    if (!granted.ok) throw new Error("no token");
    const { token } = await granted.json();
    return fetch(path, { ...options, headers: { Authorization: `Bearer ${token}`, ...options.headers } });
  }

  async function refused(answer) {
    const told = await answer.json().catch(() => ({}));
    return new Error(typeof told.detail === "string" ? told.detail : form.dataset.failed);
  }

  /* Of a file that is too large to be decoded here nothing is guessed: its end is proposed, and may be changed. */
  async function seconds(file) {
    if (file.size > DECODED) return 0;
    try {
      return (await new OfflineAudioContext(1, 1, 16000).decodeAudioData(await file.arrayBuffer())).duration;
    } catch {
      return 0;
    }
  }

  function local(moment) {
    const here = new Date(moment - new Date(moment).getTimezoneOffset() * 60000);
    return here.toISOString().slice(0, 19);
  }

  /* What is known of a file is when it was written: at the end of what it holds. */
  async function row(file, number) {
    const label = document.createElement("label");
    const began = document.createElement("input");
    began.type = "datetime-local";
    began.step = "1";
    began.required = true;
    began.id = `began-${number}`;
    label.htmlFor = began.id;
    label.textContent = `${file.name} – ${form.dataset.began}`;
    began.value = local(file.lastModified - 1000 * (await seconds(file)));
    list.append(label, began);
    return { file, began };
  }

  async function digest(file) {
    const bytes = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
    return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  function piece(path, file, offset) {
    said.textContent = `${form.dataset.sending}: ${file.name}, ${Math.floor((100 * offset) / file.size)} %`;
    const body = file.slice(offset, offset + Number(form.dataset.piece));
    const headers = { "Content-Type": "application/offset+octet-stream", "Upload-Offset": String(offset) };
    return call(path, { method: "PATCH", headers, body });
  }

  /* Each answer says how much is there; after a break it is asked for. An answer that does not say it ends the upload. */
  async function upload(path, file) {
    let offset = null;
    for (let tries = 0; offset === null || offset < file.size;) {
      try {
        const answer = offset === null ? await call(path, { method: "HEAD" }) : await piece(path, file, offset);
        if (!answer.headers.has("Upload-Offset")) throw await refused(answer);
        offset = Number(answer.headers.get("Upload-Offset"));
        tries = 0;
      } catch (error) {
        tries += 1;
        if (!(error instanceof TypeError) || tries > TRIES) throw error;
        said.textContent = form.dataset.again;
        await new Promise((done) => { setTimeout(done, 1000 * tries); });
        offset = null;
      }
    }
  }

  form.querySelector("#files").addEventListener("change", async (event) => {
    list.replaceChildren();
    said.textContent = form.dataset.reading;
    chosen = [];
    for (const file of [...event.target.files].slice(0, Number(form.dataset.most))) {
      chosen.push(await row(file, chosen.length));
    }
    said.textContent = "";
    send.disabled = chosen.length === 0;
  });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!window.crypto || !crypto.subtle) {
      said.textContent = form.dataset.insecure;
      return;
    }
    send.disabled = true;
    said.textContent = form.dataset.reading;
    try {
      const files = [];
      for (const { file, began } of chosen) {
        const captured = new Date(began.value).toISOString();
        files.push({ name: file.name.slice(0, 200), captured_at: captured, codec: "file", size: file.size, sha256: await digest(file) });
      }
      const body = JSON.stringify({ language: form.querySelector("#language").value, files });
      const answer = await call("/v1/sync", { method: "POST", headers: { "Content-Type": "application/json" }, body });
      if (!answer.ok) throw await refused(answer);
      const batch = await answer.json();
      for (const item of batch.files) if (item.state === "waiting") await upload(item.upload, chosen[item.number].file);
      location.assign("/app/offline");
    } catch (error) {
      said.textContent = error instanceof TypeError || !error.message ? form.dataset.failed : error.message;
      send.disabled = false;
    }
  });
})();
