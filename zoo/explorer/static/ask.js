// Questions to the session: over HTTP here, over whatever `send` is elsewhere.

// ask(view, parameters) -> Promise of the answer. ask.latest(...) never has more than one request in flight per key;
// of those that wait only the newest is sent, and the others' promises are fulfilled with undefined.
export function connect(send) {
  const ask = (view, parameters = {}) => send(view, parameters);
  const lanes = new Map();

  async function pump(view, lane) {
    lane.busy = true;
    while (lane.next) {
      const { parameters, resolve, reject } = lane.next;
      lane.next = null;
      await send(view, parameters).then(resolve, reject);
    }
    lane.busy = false;
  }

  ask.latest = (view, parameters = {}, key = view) =>
    new Promise((resolve, reject) => {
      if (!lanes.has(key)) lanes.set(key, { busy: false, next: null });
      const lane = lanes.get(key);
      lane.next?.resolve(undefined);
      lane.next = { parameters, resolve, reject };
      if (!lane.busy) pump(view, lane);
    });
  return ask;
}

// Questions over HTTP. While the server does not answer, `root` gets the events "lost" and then "back", and the
// questions wait.
export function http(root) {
  let waiting = null;

  const post = (view, parameters) =>
    fetch(`api/${encodeURIComponent(view)}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(parameters),
    });

  async function untilBack() {
    root.dispatchEvent(new CustomEvent("lost"));
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      try {
        await post("about", {});
        break;
      } catch {} // still lost
    }
    waiting = null;
    root.dispatchEvent(new CustomEvent("back"));
  }

  return async function send(view, parameters) {
    for (;;) {
      if (waiting) await waiting;
      let response;
      try {
        response = await post(view, parameters);
      } catch {
        waiting ??= untilBack();
        continue;
      }
      const text = await response.text();
      let answer;
      try {
        answer = JSON.parse(text);
      } catch {
        throw new Error(text.trim() || `the server answered ${response.status}`);
      }
      if (!response.ok) throw new Error(answer.error);
      return answer;
    }
  };
}
