// The API, as this page's cookie may call it.

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `HTTP ${status}`);
    this.status = status;
    this.code = body.code;
  }
}

/** The network is away, or the server can't answer just now: what was asked may be asked again. */
export function passing(error) {
  return error instanceof TypeError || (error instanceof Problem && (error.status >= 500 || error.status === 429));
}

/**
 * The browser is signed in to another account by now, or to none: this page can do nothing more, and is told to go.
 * Whoever asked waits until then. A refusal would make a fault of what only has to wait for its own account.
 */
function leave(target) {
  dispatchEvent(new CustomEvent("leave", { detail: target }));
  return new Promise(() => {});
}

function token() {
  return document.cookie.match(/(?:^|; )csrftoken=([^;]*)/)?.[1] ?? "";
}

export async function call(method, path, body) {
  const headers = { Accept: "application/json", "X-Recorder-Account": document.body.dataset.account };
  if (method !== "GET") headers["X-CSRFToken"] = token();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(`/api/v1/${path}`, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    credentials: "same-origin",
  });
  if (answer.status === 204 || answer.status === 202) return null;
  const content = (answer.headers.get("Content-Type") ?? "").includes("json") ? await answer.json() : {};
  if (answer.ok) return content;
  if (content.code === "other_account") return leave("/");
  if (answer.status === 401) return leave(`/login/?next=${encodeURIComponent(location.pathname)}`);
  throw new Problem(answer.status, content);
}

export const get = (path) => call("GET", path);
export const post = (path, body) => call("POST", path, body);
export const patch = (path, body) => call("PATCH", path, body);
export const remove = (path) => call("DELETE", path);

/**
 * Whether S3 may take the same bytes later. 403: the URL has run out, as has one whose credentials have (ExpiredToken);
 * 409: somebody else sends them just now; RequestTimeout: they came too slowly.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
 */
function fleeting({ status, responseText }) {
  return (
    status === 403 || status === 409 || (status === 400 && /<Code>(ExpiredToken|RequestTimeout)</.test(responseText))
  );
}

/** PUT bytes to a presigned URL. XMLHttpRequest, for fetch tells no progress. */
export function put(url, headers, blob, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onload = () => {
      // 412: these bytes are there already
      if (request.status < 300 || request.status === 412) resolve();
      else reject(new Problem(fleeting(request) ? 503 : request.status, { detail: `S3: ${request.status}` }));
    };
    request.onerror = () => reject(new TypeError("The network is away."));
    request.send(blob);
  });
}
