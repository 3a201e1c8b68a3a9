"""Masks secrets in text, headers and bodies before they are written or exported; `Secret` prints as stars."""
