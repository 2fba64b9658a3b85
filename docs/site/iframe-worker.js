// Search runs in a worker, and browsers start none for a page that was opened as a file. Then an iframe without an address
// takes its place: the worker's script runs in it, and messages go from window to window.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      const base = new URL(address, location).href;
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.appendChild(frame);
      const inside = frame.contentWindow;
      const load = (url) => new Promise((resolve, reject) => {
        const script = inside.document.createElement("script");
        script.src = new URL(url, base).href;
        script.onload = resolve;
        script.onerror = reject;
        inside.document.body.appendChild(script);
      });
      this.deliver = (data, target) => target.dispatchEvent(new MessageEvent("message", { data }));
      inside.postMessage = (data) => {
        this.deliver(data, this);
        if (this.onmessage) this.onmessage(new MessageEvent("message", { data }));
      };
      inside.importScripts = (...urls) => urls.reduce((done, url) => done.then(() => load(url)), Promise.resolve());
      this.inside = inside;
      this.frame = frame;
      this.ready = load(base);
    }
    postMessage(data) {
      this.ready.then(() => this.deliver(data, this.inside));
    }
    terminate() {
      this.frame.remove();
    }
  };
}
