// The page: a form, and the videos, which the server tells of as they change.

import * as form from "./form.js";
import * as server from "./server.js";
import * as videos from "./videos.js";

const connection = document.getElementById("connection");

if (location.search) history.replaceState(null, "", "/"); // the token is in a cookie by now

videos.begin(form.fill);
let begun = false;

async function meet() {
  try {
    const model = await server.model();
    document.getElementById("model").textContent = model.title;
    if (!begun) {
      begun = true; // once, whatever comes of it
      form.begin(model.defaults);
    }
    await videos.refresh();
    connection.hidden = true;
  } catch {
    setTimeout(meet, 2000);
  }
}

server.listen({
  begun: meet,
  lost: () => { connection.hidden = false; },
  video: videos.tell,
  deleted: videos.forget,
});
