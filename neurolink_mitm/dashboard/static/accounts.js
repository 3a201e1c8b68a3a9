"use strict";
// The page Accounts: the dialog of one account, messages in place, and the viewer's own tomorrow.
{

// --- the dialog: the part `account`, which is asked for by the form of a row

const dialog = document.createElement("dialog");
dialog.id = "account-dialog";
dialog.setAttribute("aria-labelledby", "account-title");
dialog.innerHTML =
  '<form method="dialog" class="close-line"><button class="quiet" aria-label="Close">×</button></form>';
dialog.append(document.getElementById("part-account"));
document.body.append(dialog);

if (new URLSearchParams(location.search).has("account")) dialog.showModal(); // linked to from elsewhere

function fill(part) {
  for (const button of part.querySelectorAll("[data-tomorrow]")) {
    const at = new Date();
    at.setDate(at.getDate() + 1);
    at.setHours(Number(button.dataset.tomorrow), 0, 0, 0);
    button.value = at.toISOString();
  }
}

document.addEventListener("input", (event) => {
  const button = document.getElementById(event.target.dataset?.sets ?? "");
  if (!button) return;
  const at = new Date(event.target.value);
  button.disabled = Number.isNaN(at.getTime());
  button.value = button.disabled ? "" : at.toISOString();
});

document.addEventListener("htmx:after:swap", (event) => {
  const source = event.detail.ctx?.sourceElement;
  fill(dialog);
  if (source?.matches("[data-opens]") && !dialog.open) dialog.showModal();
  if (source?.matches("[data-in-place]")) settle(source);
});

// --- messages in place: an error stays beside its form; what was done is a message with its Undo, and ends the dialog

function settle(form) {
  const place = document.querySelector(form.getAttribute("hx-target"));
  const done = place?.querySelector(".toast:not(.error)");
  if (!done) return;
  form.reset();
  document.getElementById("toasts").append(done);
  if (dialog.contains(form)) dialog.close();
  const login = form.getAttribute("hx-post") === "/actions/login-begin";
  if (login) awaited = true;
}

let awaited = false; // a login was begun: its link is focused as soon as it is here

new MutationObserver(() => {
  const link = document.querySelector("[data-login] a");
  if (!awaited || !link) return;
  awaited = false;
  link.scrollIntoView({ block: "center" });
  link.focus();
}).observe(document.getElementById("parts"), { childList: true, subtree: true });

// --- the focus stays on the button of a row that moves

let last = "";

document.addEventListener("click", (event) => {
  last = event.target.closest("#part-accounts button[id]")?.id ?? "";
});

for (const name of ["htmx:after:swap", "htmx:ws:after:message:incoming"]) {
  document.addEventListener(name, () => {
    const lost = document.activeElement === document.body;
    if (last && lost) document.getElementById(last)?.focus();
  });
}

}
