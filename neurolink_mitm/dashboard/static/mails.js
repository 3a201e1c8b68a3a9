"use strict";
// Mail addresses: pages hold them masked, as j…@e…. A tab whose user asks for them gets them once, and shows them.
{

const ASKED = "neurolink-mails"; // in the tab's own storage
const MASKED = /\S…@\S…(?:·\d+)?/gu;
const ATTRIBUTES = ["title", "aria-label"];
const button = document.getElementById("mails");
const asked = () => sessionStorage.getItem(ASKED) !== null;
let mails = {}; // by what stands for them
let fetching = false;
const unknown = new Set(); // what looks like one, and is none

function revealed(text) {
  return text.replace(MASKED, (each) => {
    if (!(each in mails) && !unknown.has(each)) fetchMails(each);
    return mails[each] ?? each;
  });
}

async function fetchMails(missing) {
  if (fetching) return; // what it brings is put in place everywhere
  fetching = true;
  try {
    const response = await fetch("/mails", { headers: { "X-NeuroLink-Key": key() } });
    if (response.ok) mails = await response.json();
  } catch {
    return; // the next change asks again
  } finally {
    fetching = false;
  }
  if (!(missing in mails)) unknown.add(missing);
  look(document.body);
}

function lookAtText(node) {
  if (!node.data.includes("…@")) return;
  button.hidden = false;
  if (!asked()) return;
  const text = revealed(node.data);
  if (text !== node.data) node.data = text;
}

function lookAtAttributes(element) {
  for (const name of asked() ? ATTRIBUTES : []) {
    const value = element.getAttribute(name);
    if (!value?.includes("…@")) continue;
    const text = revealed(value);
    if (text !== value) element.setAttribute(name, text);
  }
}

function look(root) {
  if (root.nodeType === Node.TEXT_NODE) lookAtText(root);
  if (root.nodeType !== Node.ELEMENT_NODE) return;
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
  do {
    const node = walker.currentNode;
    if (node.nodeType === Node.TEXT_NODE) lookAtText(node);
    else lookAtAttributes(node);
  } while (walker.nextNode());
}

if (button) {
  button.textContent = asked() ? "Hide mail addresses" : "Show mail addresses";
  button.addEventListener("click", () => {
    if (asked()) sessionStorage.removeItem(ASKED);
    else sessionStorage.setItem(ASKED, "1");
    if (!asked()) location.reload();
    button.textContent = "Hide mail addresses";
    look(document.body);
  });
  // what a part brings is put in place before it is seen
  new MutationObserver((changes) => {
    for (const { type, target, addedNodes } of changes) {
      if (type === "characterData") lookAtText(target);
      else if (type === "attributes") lookAtAttributes(target);
      else addedNodes.forEach(look);
    }
  }).observe(document.body, { subtree: true, childList: true, characterData: true, attributeFilter: ATTRIBUTES });
}

}
