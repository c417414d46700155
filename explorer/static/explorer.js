// Keyboard shortcuts, editing in place, completion, and the image size. Without this script the pages
// still work as links and forms, but cannot edit.

const told = document.querySelector("#told");
const address = location.pathname.match(/^\/data\/[^/]+\/[^/]+\/[^/]+/)?.[0];
let silence;

function tell(words, wrong = false) {
  told.textContent = words;
  told.classList.toggle("wrong", wrong);
  clearTimeout(silence);
  silence = setTimeout(() => { told.textContent = ""; }, wrong ? 9000 : 3000);
}

async function post(place, content) {
  let response;
  try {
    response = await fetch(place, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(content),
    });
  } catch {
    return { ok: false, status: 0, told: "the explorer does not answer; your text is still here" };
  }
  const text = await response.text();
  let answer;
  try { answer = JSON.parse(text); } catch { answer = { told: text }; }
  return { ok: response.ok, status: response.status, ...answer };
}

// Cards

const cards = () => [...document.querySelectorAll(".card")];
const cardOf = (row) => cards().find((card) => card.dataset.row === row);
const chosen = () => document.querySelector(".card.large") ?? document.activeElement?.closest?.(".card")
  ?? document.querySelector(".card.chosen");

function choose(card) {
  cards().forEach((one) => one.classList.toggle("chosen", one === card));
  card.focus({ preventScroll: true });
  card.scrollIntoView({ block: "nearest" });
}

function refresh(made, focused) {
  for (const [row, text] of Object.entries(made ?? {})) {
    const old = cardOf(row);
    if (!old) continue;
    const holder = document.createElement("template");
    holder.innerHTML = text;
    const card = holder.content.querySelector(".card");
    const link = old.querySelector("a.picture");
    if (link && card.querySelector("a.picture")) {
      card.querySelector("a.picture").href = link.href;  // keeps its view
      card.querySelector("a.picture").replaceChildren(...link.childNodes);  // not loaded again
    }
    card.classList.toggle("chosen", old.classList.contains("chosen"));
    old.replaceWith(card);
  }
  if (focused && cardOf(focused)) cardOf(focused).focus({ preventScroll: true });
}

const heads = (card, field) => JSON.parse(card.dataset.heads)[field] ?? [];
const shownWith = (card) => cards().filter((one) => one.dataset.image === card.dataset.image)
  .map((one) => one.dataset.row);

async function change(card, field, value, after = heads(card, field)) {
  if (card.dataset.editable !== "true") {
    tell("this row cannot be edited", true);
    return { ok: false };
  }
  const answer = await post(`${address}/edits`, {
    changes: [{ row: card.dataset.row, field, value, after }],
    show: shownWith(card),
    large: card.classList.contains("large"),
  });
  if (answer.ok) refresh(answer.cards, card.dataset.row);
  else if (answer.status !== 409) tell(answer.told, true);
  return answer;
}

// If somebody else has edited the cell in the meantime, shows that edit; a second try replaces it.
async function set(card, field, value) {
  const answer = await change(card, field, value);
  if (answer.status === 409) {
    refresh(answer.cards, card.dataset.row);
    tell("somebody else edited this in the meantime; this is the current value", true);
  }
  return answer;
}

async function review(card, field, value) {
  const answer = await set(card, field, value);
  const next = document.querySelector(".queue")?.dataset.next;
  if (answer.ok && value && next) location.href = next;
  else if (answer.ok && document.querySelector(".queue")) location.reload();
}

function edit(card) {
  if (card.dataset.editable !== "true" || card.dataset.caption === undefined) return;
  if (card.querySelector(".editor")) return;
  const caption = card.querySelector(".caption");
  const editor = document.createElement("form");
  editor.className = "editor";
  const area = document.createElement("textarea");
  area.value = card.dataset.caption;
  area.setAttribute("aria-label", "Caption");
  area.dir = "auto";
  const buttons = document.createElement("div");
  buttons.className = "buttons";
  const save = button("Save", "main");
  save.type = "submit";
  const leave = button("Cancel");
  buttons.append(save, leave);
  editor.append(area, buttons);
  caption.hidden = true;
  caption.after(editor);
  area.focus();
  area.select();
  const close = () => { editor.remove(); caption.hidden = false; card.focus({ preventScroll: true }); };
  leave.addEventListener("click", close);
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { event.stopPropagation(); close(); }
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      editor.requestSubmit();
    }
  });
  let after = heads(card, "caption");
  editor.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (area.value === card.dataset.caption) return close();
    const answer = await change(card, "caption", area.value, after);
    if (answer.status === 409) after = showTheirs(editor, answer.theirs.caption, answer.cards, card);
    if (answer.ok && document.querySelector(".queue")) location.reload();
    return undefined;
  });
}

// Shows their caption beside one's own, which stays in its box: saving again replaces theirs.
function showTheirs(editor, theirs, made, card) {
  editor.querySelector(".theirs")?.remove();
  const box = document.createElement("div");
  box.className = "theirs";
  box.setAttribute("role", "alert");
  const who = document.createElement("p");
  who.textContent = `${theirs?.by ?? "Somebody"} wrote in the meantime:`;
  const words = document.createElement("q");
  words.dir = "auto";
  words.textContent = theirs ? String(theirs.value ?? "what the steps wrote") : "";
  const take = button("Use theirs");
  take.addEventListener("click", () => refresh(made, card.dataset.row));
  box.append(who, words, take);
  editor.prepend(box);
  editor.querySelector("button.main").textContent = "Save mine instead";
  return theirs?.after ?? [];
}

function button(words, kind = "") {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = words;
  made.className = kind;
  return made;
}

function addTag(card) {
  const list = card.querySelector(".tags");
  if (card.dataset.editable !== "true" || !list || card.querySelector(".new-tag")) return;
  const item = document.createElement("li");
  const input = document.createElement("input");
  input.className = "new-tag";
  input.size = 12;
  input.setAttribute("aria-label", "New tag");
  item.append(input);
  list.append(item);
  input.focus();
  input.addEventListener("keydown", async (event) => {
    if (event.key === "Escape") { event.stopPropagation(); item.remove(); card.focus(); }
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    const tag = input.value.trim();
    if (!tag) { item.remove(); card.focus(); } else await set(card, `tag:${tag}`, true);
  });
}

const SPLITS = ["", "train", "validation"];
const nextSplit = (card) => SPLITS[(SPLITS.indexOf(card.dataset.split) + 1) % SPLITS.length];

const DOES = {
  edit,
  accept: (card) => review(card, "accepted", card.dataset.accepted !== "true"),
  drop: (card) => review(card, "dropped", card.dataset.dropped !== "true"),
  tag: addTag,
  split: (card, value = nextSplit(card)) => set(card, "split", value || null),
};

async function undo(action = "") {
  const names = address?.split("/").slice(2).map(decodeURIComponent);
  const answer = await post("/undo", {
    action,
    dataset: names,
    show: cards().map((card) => card.dataset.row),
    large: Boolean(document.querySelector(".card.large")),
  });
  tell(answer.told, !answer.ok);
  if (!answer.ok) return;
  if (document.querySelector(".queue, .undo-action, #apply")) location.reload();
  else refresh(answer.cards, chosen()?.dataset.row);
}

document.addEventListener("click", (event) => {
  const pressed = event.target.closest("button");
  if (!pressed) return;
  const card = pressed.closest(".card");
  if (pressed.dataset.do) DOES[pressed.dataset.do](card);
  if (pressed.classList.contains("untag")) set(card, `tag:${pressed.dataset.tag}`, false);
  if (pressed.classList.contains("settle")) set(card, pressed.dataset.field, JSON.parse(pressed.dataset.value));
  if (pressed.classList.contains("undo-action")) undo(pressed.dataset.action);
  if (pressed.id === "undo") undo();
  if (pressed.id === "show-keys") document.querySelector("#keys").showModal();
  if (pressed.id === "apply") apply(pressed);
});
document.addEventListener("change", (event) => {
  if (event.target.matches('select[data-do="split"]')) DOES.split(event.target.closest(".card"), event.target.value);
});

async function apply(pressed) {
  pressed.disabled = true;
  const answer = await post(location.pathname + location.search, { digest: pressed.dataset.digest });
  tell(answer.told, !answer.ok);
  if (answer.ok) setTimeout(() => location.reload(), 700);
  else pressed.disabled = false;
}

// Keys

function step(by) {
  const link = document.querySelector(by > 0 ? "a[rel=next]" : "a[rel=prev]");
  const all = cards();
  if (all.length === 0 || document.querySelector(".card.large")) { link?.click(); return; }
  const place = all.indexOf(chosen());
  const next = place < 0 ? 0 : place + by;
  if (next < 0 || next >= all.length) link?.click();
  else choose(all[next]);
}

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  e: (card) => card && edit(card),
  a: (card) => card && DOES.accept(card),
  d: (card) => card && DOES.drop(card),
  t: (card) => card && addTag(card),
  s: (card) => card && DOES.split(card),
  u: () => undo(),
  "/": () => document.querySelector("#search, #find")?.focus(),
  "?": () => document.querySelector("#keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const typing = event.target.closest("input, select, textarea, [contenteditable]");
  if (typing || document.querySelector("dialog[open]")) return;
  if (event.key === "Enter" && event.target.matches?.(".card")) {
    event.target.querySelector("a.picture")?.click();
  } else if (KEYS[event.key]) {
    event.preventDefault();
    KEYS[event.key](chosen());
  }
});

// Completion of field names in the filter

const where = document.querySelector("#where");
if (where) {
  const list = document.querySelector("#fields");
  const fields = JSON.parse(where.dataset.fields);
  let at = -1;
  const word = () => where.value.slice(0, where.selectionStart).match(/"?[A-Za-z_]\w*$/)?.[0] ?? "";
  const close = () => { list.hidden = true; at = -1; where.setAttribute("aria-expanded", "false"); where.removeAttribute("aria-activedescendant"); };
  const mark = () => [...list.children].forEach((item, number) => {
    item.setAttribute("aria-selected", String(number === at));
    if (number === at) where.setAttribute("aria-activedescendant", item.id);
  });
  const take = (field) => {
    const end = where.selectionStart;
    where.setRangeText(field, end - word().length, end, "end");
    close();
    where.focus();
  };
  where.addEventListener("input", () => {
    const begun = word().toLowerCase();
    const found = begun ? fields.filter((field) => field.toLowerCase().includes(begun) && field !== begun).slice(0, 8) : [];
    list.replaceChildren(...found.map((field, number) => {
      const item = document.createElement("li");
      item.role = "option";
      item.id = `field-${number}`;
      item.textContent = field;
      item.addEventListener("mousedown", (event) => { event.preventDefault(); take(field); });
      return item;
    }));
    at = -1;
    mark();
    list.hidden = found.length === 0;
    where.setAttribute("aria-expanded", String(found.length > 0));
  });
  where.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    const many = list.children.length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      at = (at + (event.key === "ArrowDown" ? 1 : many - 1) + (at < 0 && event.key === "ArrowUp" ? 1 : 0)) % many;
      mark();
    } else if ((event.key === "Enter" || event.key === "Tab") && at >= 0) {
      event.preventDefault();
      take(list.children[at].textContent);
    } else if (event.key === "Escape") close();
  });
  where.addEventListener("blur", close);
}

// The size of the images, remembered by this browser

const size = document.querySelector("#size");
if (size) {
  const set = () => document.documentElement.style.setProperty("--size", `${size.value}px`);
  size.value = localStorage.getItem("size") ?? size.value;
  set();
  size.addEventListener("input", () => { set(); localStorage.setItem("size", size.value); });
}

// Show only the inputs of the chosen action

const action = document.querySelector("#action");
if (action) {
  const show = () => document.querySelectorAll(".only").forEach((part) => {
    const wanted = part.dataset.only.split(" ").includes(action.value);
    part.hidden = !wanted;
    part.querySelectorAll("input, select").forEach((field) => { field.disabled = !wanted; });
  });
  action.addEventListener("change", show);
  show();
}
