// The line at the top of the page that says what went wrong.

const line = document.getElementById("problem");

export function report(text) {
  line.textContent = text;
  line.hidden = false;
}

export function clear() {
  line.hidden = true;
}
