"use strict";
// Live updates. htmx' extension keeps a WebSocket while the page is seen, and puts what comes in place. Here: the key
// that it sends first, what the connection is called, and polling where no WebSocket passes.
{

const POLL_EVERY = 2000; // milliseconds
const POLL_SLOWEST = 5000; // while the proxy does not answer
const PATIENCE = 3000; // until we poll, if no WebSocket has opened
const SILENCE = 25000; // the proxy says something every 10 s: without that, the connection is dead, as after a sleep

const connection = document.getElementById("connection");
const STATES = {
  connecting: "connecting …",
  live: "live",
  polling: "updates every 2 s",
  lost: "disconnected",
  out: "signed out",
};
let socket = null;
let believed = new Set(); // the live parts of which the proxy knows, by this WebSocket, what they show
let heardAt = 0; // when the proxy said something last, by this machine's clock
let poller = null;
let asking = false;
let pollEvery = POLL_EVERY;

const liveParts = () => [...document.querySelectorAll("[data-live]")];
const shown = () => connection.dataset.state;

function show(name) {
  if (shown() === name && connection.textContent) return;
  connection.dataset.state = name;
  connection.textContent = STATES[name];
  connection.title = name === "polling" ? "No WebSocket passes between this browser and the proxy." : "";
}

function hear() {
  heardAt = Date.now();
  pollEvery = POLL_EVERY;
}

// --- the WebSocket

document.addEventListener("htmx:ws:after:connection", (event) => {
  socket = event.detail.connection.socket;
  if (document.hidden) {
    socket.close(); // opened in the background: again when the page is seen
    return;
  }
  const parts = Object.fromEntries(liveParts().map((part) => [part.id.slice("part-".length), part.dataset.digest ?? ""]));
  believed = new Set(liveParts().filter((part) => part.dataset.digest).map((part) => part.id));
  socket.send(JSON.stringify({ key: key(), parts }));
});

document.addEventListener("htmx:ws:before:message:incoming", (event) => {
  const { data } = event.detail.message;
  const { now, target } = JSON.parse(data);
  if (now) setServerNow(now);
  if (target) believed.add(target.slice(1));
  hear();
  stopPolling();
  show("live");
});

// An answer to a request may be older than what was pushed while it was on the way; the proxy would not push that again.
document.addEventListener("htmx:before:swap", (event) => {
  const { target, sourceElement } = event.detail.ctx;
  if (sourceElement.matches("[hx-ws\\:connect]")) return; // it was pushed
  if (target instanceof Element && believed.has(target.id)) event.preventDefault();
});

document.addEventListener("htmx:ws:close", (event) => {
  forget();
  if (document.hidden || shown() === "out") return;
  if (shown() === "live") show("connecting");
  pollIn(0); // which tells whether the proxy is gone, the session has ended, or only the WebSocket does not pass
});

function forget() {
  socket = null;
  believed.clear();
}

// --- polling: while there is no WebSocket

function pollIn(milliseconds) {
  clearTimeout(poller);
  poller = setTimeout(poll, milliseconds);
}

function stopPolling() {
  clearTimeout(poller);
  poller = null;
}

async function poll() {
  if (asking) return; // the one that runs asks again
  asking = true;
  try {
    for (const part of liveParts()) {
      if (!mayPoll()) return;
      await refresh(part);
    }
    if (mayPoll()) show("polling");
  } catch {
    pollEvery = Math.min(2 * pollEvery, POLL_SLOWEST);
    if (mayPoll()) show("lost");
  } finally {
    asking = false;
    if (mayPoll()) pollIn(pollEvery);
  }
}

const mayPoll = () => !document.hidden && shown() !== "live" && shown() !== "out";

async function refresh(part) {
  const headers = { "X-NeuroLink-Key": key(), "X-NeuroLink-Have": part.dataset.digest ?? "" };
  const response = await fetch(part.getAttribute("hx-get"), { headers, signal: AbortSignal.timeout(8000) });
  const text = await response.text();
  seeTime(response.headers);
  hear();
  if (!mayPoll()) return;
  if (response.status === 401) signedOut(text);
  else if (response.status !== 204) await htmx.swap({ sourceElement: part, target: part, swap: "outerMorph", text, transition: false });
}

// without a session nothing is seen, and each page says so once
function signedOut(html) {
  stopPolling();
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  for (const part of document.querySelectorAll(".part")) part.remove();
  document.getElementById("parts").innerHTML = html;
  connection.hidden = false;
  show("out");
}

document.addEventListener("htmx:after:request", (event) => {
  const { ctx } = event.detail;
  if (ctx.response.status !== 401) return;
  event.preventDefault();
  signedOut(ctx.text);
});

// --- the page is seen again, or was asleep

document.addEventListener("visibilitychange", () => {
  if (document.hidden) stopPolling();
  else if (shown() !== "out") start();
});

addEventListener("pageshow", (event) => event.persisted && location.reload());
addEventListener("storage", (event) => event.key === KEY && location.reload()); // signed in, or out, in another tab

setInterval(() => {
  if (document.hidden || shown() !== "live" || Date.now() - heardAt < SILENCE) return;
  show("lost");
  socket?.close();
  forget(); // a connection that is dead is closed only much later
  pollIn(0);
}, 1000);

function start() {
  show("connecting");
  pollIn(PATIENCE);
}

if (liveParts().length) start();
else connection.hidden = true;

}
