"use strict";
// The support bundle, copied or saved by the browser.
{

const copied = (text) => {
  document.getElementById("bundle-copied").textContent = text;
};

async function copy(area) {
  try {
    await navigator.clipboard.writeText(area.value);
    copied("Copied.");
  } catch {
    area.focus();
    area.select(); // without the permission the user copies by the keyboard
    copied("It is selected: copy it with Ctrl-C or ⌘C.");
  }
}

function save(area, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([area.value], { type: "text/plain" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy], [data-save]");
  if (!button) return;
  const { copy: whole, save: saved, name } = button.dataset;
  if (whole) copy(document.getElementById(whole));
  else save(document.getElementById(saved), name);
});

}
