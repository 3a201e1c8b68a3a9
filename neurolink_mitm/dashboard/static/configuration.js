"use strict";
// The page Configuration: the filter over its keys, and a form that follows the file while nobody has typed in it.
{

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

// the part of the file is pushed when another one is in force

let loaded = null;
let shown = null;
let typed = false;

document.addEventListener("input", (event) => {
  if (event.target.closest("#config-form")) typed = true;
});

function followFile() {
  const form = document.getElementById("part-configuration");
  const file = document.getElementById("part-config-file");
  if (!form?.dataset.digest || !file?.dataset.digest) return;
  if (form.dataset.digest !== shown) typed = false;
  const isOld = loaded !== null && loaded !== file.dataset.digest && form.dataset.digest === shown;
  shown = form.dataset.digest;
  loaded = file.dataset.digest;
  if (isOld && !typed && !document.getElementById("config-result")) htmx.trigger(document.body, "refresh-configuration");
}

for (const name of ["htmx:after:swap", "htmx:ws:after:message:incoming"]) document.addEventListener(name, followFile);

// a link of a fault leads to its input, wherever that is hidden
document.addEventListener("click", (event) => {
  const link = event.target.closest("#config-result a[data-field]");
  if (!link) return;
  event.preventDefault();
  const target = document.getElementById(link.getAttribute("href").slice(1));
  target.closest("details").open = true;
  (target.matches("table") ? target.querySelector("input") : target).focus();
});

}
