// Bars: a name, a bar and a percentage for each class.

export function showBars(root, names, shares) {
  root.replaceChildren(
    ...names.flatMap((name, i) => {
      const percent = `${Math.round(100 * shares[i])} %`;
      const track = made("track", "");
      const fill = track.appendChild(made("fill", ""));
      fill.style.width = `${100 * shares[i]}%`;
      return [made("name", name), track, made("share", percent)];
    }),
  );
}

function made(kind, text) {
  const element = document.createElement("div");
  element.className = kind;
  element.textContent = text;
  return element;
}
