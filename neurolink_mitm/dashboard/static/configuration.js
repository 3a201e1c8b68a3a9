"use strict";
// The filter over the keys of the page Configuration: it hides rows, and keeps what was typed.

let wanted = ""; // what is filtered by: a part that comes anew has an empty input

function filterKeys() {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  let rows = 0;
  for (const section of document.querySelectorAll("details.settings")) {
    let matches = 0;
    for (const row of section.querySelectorAll("[data-key]")) {
      row.hidden = !words.every((word) => row.dataset.key.includes(word));
      if (!row.hidden) matches += 1;
    }
    section.hidden = words.length > 0 && matches === 0;
    if (words.length > 0) section.open = matches > 0;
    rows += matches;
  }
  document.getElementById("config-none").hidden = words.length === 0 || rows > 0;
}

document.addEventListener("input", (event) => {
  if (event.target.id !== "config-filter") return;
  wanted = event.target.value;
  filterKeys();
});

document.addEventListener("htmx:after:swap", () => {
  const input = document.getElementById("config-filter");
  if (!input || !wanted) return;
  input.value = wanted;
  filterKeys();
});

// a link of a fault leads to its input, wherever that is hidden
document.addEventListener("click", (event) => {
  const link = event.target.closest("#config-result a[data-field]");
  if (!link) return;
  event.preventDefault();
  const target = document.getElementById(link.getAttribute("href").slice(1));
  target.closest("details").open = true;
  (target.matches("table") ? target.querySelector("input") : target).focus();
});
