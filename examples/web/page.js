// What the parts of the page share.

export const $ = (id) => document.getElementById(id);

export function showError(text) {
  $('error').textContent = text;
  $('error').hidden = text === '';
}
