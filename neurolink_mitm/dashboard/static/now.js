"use strict";
// The bars of live requests: how wide each piece is, and that the last one grows. Attributes say when a piece began and
// ended, so that the proxy need not send anything while nothing happens.
{

function drawBar(bar) {
  const age = Math.max(0, serverNow() - Date.parse(bar.dataset.began));
  for (const piece of bar.children) {
    const start = Number(piece.dataset.start);
    const end = piece.dataset.end === undefined ? Math.max(age, start) : Number(piece.dataset.end);
    piece.style.flexGrow = Math.max(1, Math.round(end - start));
  }
}

const drawBars = () => document.querySelectorAll(".bar").forEach(drawBar);

document.addEventListener("htmx:after:swap", drawBars);
setInterval(() => document.hidden || drawBars(), 1000);

}
