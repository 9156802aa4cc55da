/* Runs beside the page: hands on what the microphone hears, a tenth of a second at a time, as 16-bit samples. */
"use strict";
class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.samples = new Int16Array(1600);
    this.count = 0;
  }

  process(inputs) {
    for (const value of inputs[0]?.[0] ?? []) {
      this.samples[this.count++] = Math.max(-1, Math.min(1, value)) * 32767;
      if (this.count === this.samples.length) {
        this.port.postMessage(this.samples.slice().buffer);
        this.count = 0;
      }
    }
    return true;
  }
}
registerProcessor("microphone", Microphone);
