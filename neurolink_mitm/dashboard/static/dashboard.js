"use strict";
// What htmx can't do by attributes: the session's key, and times in the viewer's zone. Live updates are in live.js.
// What this file declares, the others use; each of them is a block, so that none of their names meet.

const KEY = "neurolink-key"; // the half of the session that no other port of this host is sent

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
  sessionStorage.clear();
  location.replace("/");
});

// --- times

let ahead = 0; // milliseconds that the proxy's clock is ahead of this one: the browser may be on another machine
const TOLERANCE = 1000; // milliseconds that a message may have been on the way

const serverNow = () => Date.now() + ahead;

function setServerNow(moment) {
  if (Math.abs(moment - serverNow()) > TOLERANCE) ahead = moment - Date.now();
}

function seeTime(headers) {
  const moment = Number(headers.get("X-NeuroLink-Now"));
  if (moment) setServerNow(moment);
}

document.addEventListener("htmx:after:request", (event) => {
  const headers = event.detail.ctx.response?.raw.headers;
  if (headers) seeTime(headers);
});

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
  return dated(moment, time);
}

function dated(moment, time) {
  const day = moment.getFullYear() === new Date().getFullYear() ? date : dateWithYear;
  return `${day.format(moment)} ${time.format(moment)}`;
}

function due(moment, left) {
  const at = clock(moment, toMinutes);
  return left > 0 ? `${at} (in ${duration(left)})` : at;
}

const WRITERS = {
  clock: (moment) => clock(moment, toSeconds),
  dated: (moment) => dated(moment, toSeconds),
  since: (_, seconds) => duration(seconds),
  until: (_, seconds) => duration(-seconds),
  due: (moment, seconds) => due(moment, -seconds),
  daytime: (moment) => toSeconds.format(moment),
};

function writeTime(element) {
  const moment = new Date(element.dateTime);
  const seconds = (serverNow() - moment) / 1000;
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
