"use strict";
// What htmx can't do by attributes: the session's key, live updates, times in the viewer's zone.

const KEY = "neurolink-key"; // the half of the session that no other port of this host is sent
const POLL_EVERY = 2000; // milliseconds, where WebSockets don't pass

const key = () => localStorage.getItem(KEY) ?? "";

// --- the session

document.addEventListener("htmx:config:request", (event) => {
  const headers = event.detail.ctx.request.headers;
  headers["X-NeuroLink-Key"] = key();
});

async function signIn() {
  const token = location.hash.slice(1);
  history.replaceState(null, "", location.pathname); // no token in the history
  const answer = token ? await post("/signin", JSON.stringify({ token })) : { error: "This address has no link in it." };
  if (answer.key) {
    localStorage.setItem(KEY, answer.key);
    location.replace("/");
    return;
  }
  document.getElementById("signin").textContent = answer.error;
  document.getElementById("signin-help").hidden = false;
}

async function post(path, body) {
  try {
    const response = await fetch(path, { method: "POST", body, headers: { "X-NeuroLink-Key": key() } });
    return response.status === 204 ? {} : await response.json();
  } catch {
    return { error: "The proxy does not answer: is it running?" };
  }
}

document.getElementById("signout")?.addEventListener("click", async () => {
  await post("/signout");
  localStorage.removeItem(KEY);
  location.replace("/");
});

// --- live updates

const connection = document.getElementById("connection");
const STATES = {
  connecting: "connecting …",
  live: "live",
  polling: "polling: WebSocket does not pass",
  lost: "disconnected: trying again",
  out: "signed out",
};
let failures = 0;
let poller = null;

function show(state) {
  connection.dataset.state = state;
  connection.textContent = STATES[state];
}

function liveParts() {
  return [...document.querySelectorAll("[data-live]")].map((part) => part.id.slice("part-".length));
}

document.addEventListener("htmx:ws:after:connection", (event) => {
  failures = 0;
  const hello = { key: key(), parts: liveParts() };
  event.detail.connection.socket.send(JSON.stringify(hello));
});

document.addEventListener("htmx:ws:after:message:incoming", () => {
  clearInterval(poller);
  poller = null;
  show("live");
});

document.addEventListener("htmx:ws:close", (event) => {
  if (event.detail.code === 4401) {
    show("out");
  } else if (!document.hidden) {
    failures += 1;
    if (!poller) show("lost");
    if (failures > 2 && !poller) poller = setInterval(poll, POLL_EVERY);
  }
});

document.addEventListener("htmx:after:request", () => poller && show("polling"));
document.addEventListener("htmx:error", () => poller && show("lost"));

function poll() {
  if (document.hidden) return;
  for (const part of document.querySelectorAll("[data-live]")) {
    htmx.ajax("GET", part.getAttribute("hx-get"), {
      source: part,
      target: part,
      swap: "outerMorph",
      headers: { "X-NeuroLink-Have": part.dataset.digest ?? "" },
    });
  }
}

// htmx may begin before its extension has come, and would make no connection
document.addEventListener("DOMContentLoaded", () => htmx.process(document.body));

// a page that the browser kept while another was shown has lost its connection
window.addEventListener("pageshow", (event) => event.persisted && location.reload());

// --- times

// English, as the words around them; the exact time on hover is in the viewer's own way of writing
const format = (options) => new Intl.DateTimeFormat("en-GB", options);
const toMinutes = format({ hour: "2-digit", minute: "2-digit" });
const toSeconds = format({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const weekday = format({ weekday: "short" });
const date = format({ day: "numeric", month: "short" });
const dateWithYear = format({ day: "numeric", month: "short", year: "numeric" });
const long = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

// 16:40 today, Tue 16:40 in the next days, 8 Dec 16:40, 8 Dec 2025 16:40
function clock(moment, time) {
  const now = new Date();
  const days = Math.round((new Date(moment).setHours(0, 0, 0, 0) - now.setHours(0, 0, 0, 0)) / 86400000);
  if (days === 0) return time.format(moment);
  if (days > 0 && days < 7) return `${weekday.format(moment)} ${time.format(moment)}`;
  const day = moment.getFullYear() === now.getFullYear() ? date : dateWithYear;
  return `${day.format(moment)} ${time.format(moment)}`;
}

function due(moment, left) {
  const at = clock(moment, toMinutes);
  return left > 0 ? `${at} (in ${duration(left)})` : at;
}

const WRITERS = {
  clock: (moment) => clock(moment, toSeconds),
  since: (_, seconds) => duration(seconds),
  until: (_, seconds) => duration(-seconds),
  due: (moment, seconds) => due(moment, -seconds),
};

function writeTime(element) {
  const moment = new Date(element.dateTime);
  const seconds = (Date.now() - moment) / 1000;
  const text = WRITERS[element.dataset.as](moment, seconds);
  if (element.textContent !== text) element.textContent = text;
  if (!element.title) element.title = long.format(moment);
}

const writeTimes = () => document.querySelectorAll("time[data-as]").forEach(writeTime);

document.addEventListener("htmx:after:swap", writeTimes);
setInterval(() => document.hidden || writeTimes(), 1000);

// --- small things

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-close]")) event.target.closest(".toast").remove();
});

if (document.body.dataset.page === "signin") signIn();
else if (document.querySelector("[data-live]")) show("connecting");
