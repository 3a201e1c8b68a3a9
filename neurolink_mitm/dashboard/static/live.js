"use strict";
// Live updates. htmx' extension keeps a WebSocket while the page is seen, and puts what comes in place. Here: the key
// that it sends first, what the connection is called, and polling where no WebSocket passes.

const POLL_EVERY = 2000; // milliseconds
const POLL_SLOWEST = 10000; // while the proxy does not answer
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
let heardAt = 0; // when the proxy said something last, by this machine's clock
let poller = null;
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
  socket.send(JSON.stringify({ key: key(), parts }));
});

document.addEventListener("htmx:ws:before:message:incoming", (event) => {
  const { data } = event.detail.message;
  if (data.startsWith('{"now"')) setServerNow(JSON.parse(data).now);
  hear();
  stopPolling();
  show("live");
});

document.addEventListener("htmx:ws:close", (event) => {
  socket = null;
  if (document.hidden || shown() === "out") return;
  show(event.detail.code === 4401 ? "out" : "lost");
  pollIn(0);
});

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
  poller = null;
  if (document.hidden || shown() === "live" && socket) return;
  for (const part of liveParts()) {
    const response = await ask(part);
    if (response === null || shown() === "live") return;
    const html = await response.text();
    if (response.status === 401) return signedOut(html);
    if (response.status !== 204) await htmx.swap({ sourceElement: part, target: part, swap: "outerMorph", text: html, transition: false });
  }
  show("polling");
  pollIn(pollEvery);
}

async function ask(part) {
  const headers = { "X-NeuroLink-Key": key(), "X-NeuroLink-Have": part.dataset.digest ?? "" };
  try {
    const response = await fetch(part.getAttribute("hx-get"), { headers, signal: AbortSignal.timeout(8000) });
    seeTime(response.headers);
    hear();
    return response;
  } catch {
    if (shown() !== "live") {
      show("lost");
      pollEvery = Math.min(2 * pollEvery, POLL_SLOWEST);
      pollIn(pollEvery);
    }
    return null;
  }
}

function signedOut(html) {
  stopPolling();
  document.getElementById("parts").innerHTML = html; // without a session nothing is seen
  show("out");
}

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
  pollIn(0);
}, 1000);

function start() {
  show("connecting");
  pollIn(PATIENCE);
}

if (liveParts().length) start();
else connection.hidden = true;
