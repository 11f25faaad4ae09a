(function () {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const all = (selector, within) => Array.from((within || document).querySelectorAll(selector));

  function make(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  function classLink(c) {
    return make("a", { class: "class", href: "#class-" + c }, make("bdi", {}, data.names[c]));
  }

  /* Search for classes, and choice of right or wrong images. */
  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const plainNames = data.names.map(plain);
  const classed = all("[data-classes]");
  const sought = byId("sought");

  function filter() {
    const text = plain(sought.value.trim());
    const wanted = new Set();
    plainNames.forEach((name, c) => { if (name.includes(text)) wanted.add(String(c)); });
    const which = document.querySelector("[name=which]:checked").value;
    for (const node of classed) {
      const matches = node.dataset.classes.split(" ").some((c) => wanted.has(c));
      const limited = node.matches(".image") && which !== "all";
      node.classList.toggle("filtered", !matches || (limited && !node.classList.contains(which)));
    }
    const matches = Array.from(wanted, Number);
    const links = matches.slice(0, 4).flatMap((c, k) => [k ? ", " : " ", classLink(c)]);
    byId("found").replaceChildren(...(!text ? [] : [
      matches.length + " of " + data.names.length + (matches.length ? ":" : ""), ...links,
      matches.length > 4 ? ", \u2026" : ""]));
  }

  sought.addEventListener("input", filter);
  for (const radio of all("[name=which]")) radio.addEventListener("change", filter);
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    const first = document.querySelector("#class-table tbody tr:not(.filtered) a");
    if (first) location.hash = first.hash;
  });

  /* A link leads to its target even where a filter hides it. */
  function reveal() {
    const target = location.hash.length > 1 && byId(location.hash.slice(1));
    if (!target || !target.closest(".filtered")) return;
    sought.value = "";
    document.querySelector("[name=which][value=all]").checked = true;
    filter();
    target.scrollIntoView();
  }
  window.addEventListener("hashchange", reveal);

  /* The table of classes is sorted by a click on a head. */
  const rows = all("#class-table tbody tr");
  const heads = all("#class-table [data-sort]");
  for (const head of heads) {
    const key = head.dataset.sort;
    const button = make("button", { type: "button" }, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = key === "name"
        ? (row) => plainNames[row.dataset.classes]
        : (row) => Number(row.dataset[key]);
      const order = rows.map((row) => [value(row), row]);
      const names = new Intl.Collator(undefined, { numeric: true });
      order.sort(([a], [b]) => (key === "name" ? names.compare(a, b) : a - b) * (down ? -1 : 1));
      document.querySelector("#class-table tbody").append(...order.map(([, row]) => row));
    });
  }

  /* A row of an image's table and its box are highlighted together. */
  function light(event) {
    const marked = event.target.closest("[data-mark]");
    const decision = marked && marked.closest(".decision");
    for (const lit of all(".lit")) lit.classList.remove("lit");
    if (!decision) return;
    decision.classList.add("lit");
    for (const node of all("[data-mark]", decision)) {
      node.classList.toggle("lit", node.dataset.mark === marked.dataset.mark);
    }
  }
  document.addEventListener("pointerover", light);
  document.addEventListener("focusin", light);

  byId("all-heat").addEventListener("change", (event) => {
    for (const box of all(".heat-switch")) box.checked = event.target.checked;
  });

  /* The comparison of two classes. */
  const places = new Map(data.parts.map((part, k) => [part, k]));
  /* Weights are missing where the model's decision is not linear. */
  const [weights, participation] = ["weights", "participation"].map((name) => {
    if (!data[name]) return null;
    const bytes = Uint8Array.from(atob(data[name].steps), (letter) => letter.charCodeAt(0));
    const steps = new DataView(bytes.buffer);
    return (c, part) =>
      steps.getInt16(2 * (c * data.parts.length + places.get(part)), true) * data[name].step;
  });
  const counted = new Map(data.confusions.map(([t, p, n]) => [t + " " + p, n]));
  const total = data.names.map(() => 0);
  for (const [t, , n] of data.confusions) total[t] += n;
  const chosen = [byId("class-a"), byId("class-b")];
  for (const select of chosen) {
    select.append(...data.names.map((name, c) => make("option", { value: c }, name)));
  }

  function signed(value) {
    const text = Math.abs(value).toFixed(data.decimals);
    if (Number(text) === 0) return text;
    return (value < 0 ? "\u2212" : "+") + text;
  }

  function bar(value, largest) {
    const stripe = make("i");
    stripe.style.setProperty("--share", largest ? Math.abs(value) / largest : 0);
    return make("span", { class: "bar " + (value < 0 ? "minus" : "plus"), "aria-hidden": "true" }, stripe);
  }

  function compare() {
    const [a, b] = chosen.map((select) => Number(select.value));
    const largestOf = (part) => Math.max(participation(a, part), participation(b, part));
    const parts = Array.from(new Set([...data.classParts[a], ...data.classParts[b]]));
    parts.sort((p, q) => largestOf(q) - largestOf(p));
    const values = parts.flatMap((part) => [participation(a, part), participation(b, part)]);
    const largest = Math.max(0, ...values.map(Math.abs));
    byId("head-a").replaceChildren(classLink(a));
    byId("head-b").replaceChildren(classLink(b));
    const sentence = (t, p) => [
      (counted.get(t + " " + p) || 0) + " of " + total[t] + " images of ", classLink(t),
      " were taken for ", classLink(p),
    ];
    byId("comparison-summary").replaceChildren(
      ...(a === b ? ["Choose two different classes."] : [...sentence(a, b), "; ", ...sentence(b, a), "."]));
    document.querySelector("#comparison tbody").replaceChildren(...parts.map((part) => {
      const entry = byId("part-" + part);
      const link = entry.querySelector("a.part").cloneNode(true);
      const crops = entry.querySelector(".crops").cloneNode(true);
      const cells = [a, b].map((c) => make("td", {},
        bar(participation(c, part), largest), " " + signed(participation(c, part)),
        ...(weights ? [make("br"), make("small", {}, "weight " + signed(weights(c, part)))] : [])));
      return make("tr", {}, make("th", { scope: "row" }, link, crops), ...cells);
    }));
  }

  for (const select of chosen) select.addEventListener("change", compare);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.compare");
    if (!button) return;
    const [a, b] = button.dataset.pair.split(" ");
    chosen[0].value = a;
    if (b !== undefined) chosen[1].value = b;
    else if (chosen[1].value === a) chosen[1].value = a === "0" ? 1 : 0;
    compare();
    location.hash = "compare";
    chosen[b === undefined ? 1 : 0].focus({ preventScroll: true });
  });
  const first = document.querySelector("button.compare[data-pair*=' ']");
  [chosen[0].value, chosen[1].value] = first ? first.dataset.pair.split(" ") : [0, 1];
  compare();

  /* The matrix of many classes: a cursor over the image. */
  const matrix = byId("matrix");
  if (matrix) {
    const n = data.names.length;
    const cursor = matrix.querySelector(".cursor");
    const at = [0, 0];
    const describe = () => {
      const [t, p] = at;
      cursor.hidden = false;
      Object.assign(cursor.style, {
        left: (100 * p) / n + "%", top: (100 * t) / n + "%", width: 100 / n + "%", height: 100 / n + "%",
      });
      const count = (counted.get(t + " " + p) || 0) + " of " + total[t] + " images of ";
      const description = t === p
        ? [count, classLink(t), " recognised"]
        : [count, classLink(t), " taken for ", classLink(p), " ",
          make("button", { type: "button", class: "compare", "data-pair": t + " " + p }, "compare")];
      byId("cell").replaceChildren(...description);
    };
    matrix.setAttribute("tabindex", "0");
    matrix.setAttribute("role", "application");
    matrix.addEventListener("keydown", (event) => {
      const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
      if (event.key === "Enter") {
        const target = byId("cell").querySelector("a");
        if (target) target.focus();
      }
      if (!(event.key in moves)) return;
      event.preventDefault();
      moves[event.key].forEach((move, axis) => {
        at[axis] = Math.min(n - 1, Math.max(0, at[axis] + (cursor.hidden ? 0 : move)));
      });
      describe();
    });
    const point = (event) => {
      const box = matrix.querySelector("img").getBoundingClientRect();
      const shares = [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
      shares.forEach((share, axis) => { at[axis] = Math.min(n - 1, Math.max(0, Math.floor(share * n))); });
      describe();
    };
    matrix.addEventListener("click", point);
    matrix.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse") point(event); });
  }
  reveal();
})();
