"use strict";
// Requests: the key / focuses the search, empty fields stay out of the address, newer requests are announced.
{

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  const search = document.getElementById("f-q");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey || !search) return;
  event.preventDefault();
  search.focus();
  search.select();
});

document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-trim]")) return;
  for (const field of event.target.elements) {
    if (field.name && !field.value.trim()) field.disabled = true;
  }
});
// the page may come back from the browser's cache
window.addEventListener("pageshow", () => {
  for (const field of document.querySelectorAll("form[data-trim] :disabled")) field.disabled = false;
});

// a heading above the first request of each day, by the viewer's zone
const dayOf = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric" });

function headDays() {
  for (const old of document.querySelectorAll("tr.day")) old.remove();
  let day = dayOf.format(new Date());
  for (const time of document.querySelectorAll(".found tbody th time")) {
    const own = dayOf.format(new Date(time.dateTime));
    if (own === day) continue;
    day = own;
    const heading = document.createElement("tr");
    heading.className = "day";
    const cell = heading.appendChild(document.createElement("th"));
    cell.colSpan = 12;
    cell.textContent = day;
    time.closest("tr").before(heading);
  }
}
document.addEventListener("htmx:after:swap", headDays);

function announce() {
  const arrived = document.querySelector(".arrived");
  const searched = document.querySelector("[data-searched]")?.dataset.searched;
  if (arrived) arrived.hidden = !searched || arrived.dataset.newest === searched;
}
document.addEventListener("htmx:after:swap", announce);

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-show-newest]")) return;
  htmx.trigger(document.body, "refresh-requests");
});

// a file needs the session's key, which a link can't send
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-file]");
  if (!button) return;
  button.disabled = true;
  try {
    const response = await fetch(button.dataset.file, { headers: { "X-NeuroLink-Key": key() } });
    if (!response.ok) throw new Error(response.statusText);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await response.blob());
    link.download = /filename="([^"]+)"/.exec(response.headers.get("content-disposition"))[1];
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  } finally {
    button.disabled = false;
  }
});

}
