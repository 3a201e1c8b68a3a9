"use strict";
// The behaviour of what all pages look like: questions before an action, messages, help, and parts that did not come.
{

const TOAST_SECONDS = 15;

// --- questions: hx-confirm asks in a dialog; Escape is no, and the focus goes back to the button

document.addEventListener("htmx:confirm", (event) => {
  event.preventDefault();
  const { ctx, issueRequest, dropRequest } = event.detail;
  const dialog = document.getElementById("confirm");
  const button = ctx.sourceElement.querySelector("button") ?? ctx.sourceElement;
  const yes = dialog.querySelector("[value=yes]");
  dialog.querySelector("p").textContent = ctx.confirm;
  yes.textContent = button.textContent.trim() || "Go on";
  yes.classList.toggle("danger", button.classList.contains("danger"));
  dialog.returnValue = "";
  dialog.addEventListener("close", () => (dialog.returnValue === "yes" ? issueRequest() : dropRequest()), { once: true });
  dialog.showModal();
});

// --- messages: they stay while somebody points at them, or is in them; errors until they are closed

function watchToast(toast) {
  let timer = null;
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => toast.remove(), TOAST_SECONDS * 1000);
  };
  const stay = () => clearTimeout(timer);
  if (toast.classList.contains("error")) return;
  for (const name of ["pointerenter", "focusin"]) toast.addEventListener(name, stay);
  for (const name of ["pointerleave", "focusout"]) toast.addEventListener(name, wait);
  wait();
}

new MutationObserver((changes) => {
  for (const { addedNodes } of changes) {
    for (const node of addedNodes) if (node.classList?.contains("toast")) watchToast(node);
  }
}).observe(document.getElementById("toasts"), { childList: true });

document.addEventListener("htmx:finally:request", (event) => {
  const form = event.detail.ctx.sourceElement; // an Undo is good once
  if (form.matches(".toast form")) form.closest(".toast").remove();
});

document.addEventListener("click", (event) => {
  for (const help of document.querySelectorAll("details.help[open]")) {
    if (!help.contains(event.target)) help.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const toast = event.target.closest?.(".toast");
  if (toast) toast.remove();
  for (const help of document.querySelectorAll("details.help[open]")) {
    help.open = false;
    if (help.contains(event.target)) help.querySelector("summary").focus();
  }
});

// --- what did not come: the proxy is gone, or the network, or the answer is a refusal in plain text

document.addEventListener("htmx:error", (event) => missing(event.detail.ctx?.sourceElement, "The proxy does not answer: is it running?"));

document.addEventListener("htmx:before:response", async (event) => {
  const { sourceElement, response } = event.detail.ctx;
  if (response.status < 400 || response.headers.get("content-type")?.startsWith("text/html")) return;
  event.preventDefault(); // it is no piece of a page
  missing(sourceElement, await response.raw.text());
});

function missing(source, text) {
  const part = source?.closest(".part");
  if (!source?.matches(".part")) {
    toastError(text);
    return;
  }
  part.removeAttribute("aria-busy");
  const waiting = part.querySelector(".loading");
  if (!waiting) return; // what it shows is old, and stays
  const note = document.getElementById("unreachable").content.cloneNode(true);
  note.querySelector("p").textContent = text;
  waiting.replaceWith(note);
}

document.addEventListener("click", (event) => {
  const part = event.target.closest("[data-again]")?.closest(".part");
  if (part) htmx.ajax("GET", part.getAttribute("hx-get"), { source: part, target: part, swap: "outerMorph" });
});

function toastError(text) {
  const errors = [...document.querySelectorAll("#toasts .error p")];
  if (errors.some((error) => error.textContent === text)) return; // once is enough
  const toast = document.getElementById("failure").content.cloneNode(true);
  toast.querySelector("p").textContent = text;
  document.getElementById("toasts").append(toast);
}

// --- disconnected: what is shown is grey, and says since when it is old

const state = document.getElementById("connection");

new MutationObserver(() => {
  const lost = state.dataset.state === "lost";
  const note = document.getElementById("stale");
  if (lost && !note && document.querySelector("[data-live]")) {
    const said = document.getElementById("disconnected").content.cloneNode(true);
    said.querySelector("time").dateTime = new Date().toISOString();
    document.getElementById("parts").before(said);
    writeTimes();
  } else if (!lost) {
    note?.remove();
  }
}).observe(state, { attributes: true, attributeFilter: ["data-state"] });

}
