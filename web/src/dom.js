// Elements without a framework: h("button", { class: "quiet", onclick: act }, "Save").

export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && key !== "list" && typeof value !== "string") element[key] = value;
    else element.setAttribute(key === "className" ? "class" : key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const PATHS = {
  back: "M15 5l-7 7 7 7",
  check: "M5 12.5l4.5 4.5L19 7.5",
  download: "M12 4v11m-5-5l5 5 5-5M5 20h14",
  flag: "M6 21V4h11l-2 4 2 4H6",
  heart: "M12 20s-7-4.4-7-9.6A4 4 0 0 1 12 7.5a4 4 0 0 1 7 2.9C19 15.6 12 20 12 20z",
  microphone: "M12 3a3 3 0 0 1 3 3v6a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3zM6 11a6 6 0 0 0 12 0M12 17v4",
  pause: "M8 5v14M16 5v14",
  play: "M8 5l11 7-11 7z",
  plus: "M12 5v14M5 12h14",
  restore: "M5 12a7 7 0 1 0 2.2-5.1M5 4v4h4",
  stop: "M6 6h12v12H6z",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  user: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20a7.5 7.5 0 0 1 15 0",
  waves: "M4 10v4M8 7v10M12 4v16M16 8v8M20 10v4",
  copy: "M9 9h10v11H9zM15 9V4H5v11h4",
  cross: "M6 6l12 12M18 6L6 18",
  link: "M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7L12 7M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7L12 17",
  share: "M12 15V4m-4 4l4-4 4 4M6 12v8h12v-8",
  cloud: "M7 18a4 4 0 0 1-.6-8A6 6 0 0 1 18 9.5 4 4 0 0 1 17.5 18z",
};

/** A line drawing that says nothing to a screen reader. */
export function icon(name, filled = false) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", "aria-hidden": "true", class: "icon" })) {
    svg.setAttribute(key, value);
  }
  if (filled) svg.classList.add("filled");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** Say something to everybody, also to a screen reader, for a few seconds. `undo` ([words, what to do]) takes it back. */
export function say(text, wrong = false, undo = null) {
  const place = document.getElementById("said");
  const line = h("p", { class: wrong ? "wrong" : "" }, text);
  const takeBack = () => {
    line.remove();
    undo[1]();
  };
  if (undo) line.append(h("button", { class: "undo", onclick: takeBack }, undo[0]));
  place.replaceChildren(line);
  setTimeout(() => line.remove(), wrong || undo ? 9000 : 4000);
}

/** Ask before what can't be undone. */
export function confirmed(question, yes, no) {
  return new Promise((resolve) => {
    const closed = () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    };
    const dialog = h(
      "dialog",
      { "aria-label": question, onclose: closed },
      h(
        "form",
        { method: "dialog" },
        h("p", {}, question),
        h(
          "div",
          { class: "row end" },
          h("button", { class: "quiet", value: "no" }, no),
          h("button", { class: "danger", value: "yes" }, yes),
        ),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}
