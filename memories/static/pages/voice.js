/* A voice sample by file or microphone, sent to the API as an app does it: with a token that is fetched for it. */
"use strict";
(() => {
  const SECONDS = 12;

  async function token(form) {
    const csrf = form.querySelector("[name=csrfmiddlewaretoken]").value;
    const answer = await fetch("/app/live/token", { method: "POST", headers: { "X-CSRFToken": csrf }, redirect: "error" });
    if (!answer.ok) throw new Error("no token");
    return (await answer.json()).token;
  }

  for (const form of document.querySelectorAll("[data-voice]")) {
    const file = form.querySelector("input[type=file]");
    const record = form.querySelector("[data-record]");
    const said = form.querySelector("[data-said]");
    form.hidden = false;

    async function send(sound, name) {
      said.textContent = form.dataset.sending;
      const body = new FormData();
      body.append("file", sound, name);
      try {
        const headers = { Authorization: `Bearer ${await token(form)}` };
        const answer = await fetch(form.dataset.voice, { method: "POST", headers, body });
        const told = await answer.json();
        said.textContent = answer.ok ? form.dataset.done : typeof told.detail === "string" ? told.detail : form.dataset.failed;
      } catch {
        said.textContent = form.dataset.failed;
      }
      file.value = "";
    }

    file.addEventListener("change", () => file.files.length && send(file.files[0], "voice"));
    record.addEventListener("click", async () => {
      let stream;
      try {
        stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      } catch {
        said.textContent = form.dataset.denied;
        return;
      }
      record.disabled = true;
      const parts = [];
      const recorder = new MediaRecorder(stream);
      recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
      recorder.addEventListener("stop", () => {
        for (const track of stream.getTracks()) track.stop();
        record.disabled = false;
        send(new Blob(parts, { type: recorder.mimeType }), "voice");
      });
      recorder.start();
      let left = SECONDS;
      said.textContent = `${form.dataset.talk} ${left}`;
      const timer = setInterval(() => {
        left -= 1;
        said.textContent = `${form.dataset.talk} ${left}`;
        if (left > 0) return;
        clearInterval(timer);
        recorder.stop();
      }, 1000);
    });
  }
})();
