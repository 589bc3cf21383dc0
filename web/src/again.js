// What is dangerous wants a login just now: whoever has only found the browser open can't do it.

import { say } from "./dom.js";

/** Say what went wrong; where a fresh login is missing, go there, and come back to where this was asked for. */
export function failed(error) {
  if (error.code === "reauthentication_required")
    location.assign(`/login/?next=${encodeURIComponent(location.pathname + location.hash)}`);
  else say(error.message, true);
}
