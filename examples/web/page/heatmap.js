// A picture of a sequence: time from left to right, a row for each coefficient, blue for low and orange for high.

export function showHeatmap(canvas, sequence, features) {
  const steps = sequence.length / features;
  Object.assign(canvas, { width: steps, height: features });
  const context = canvas.getContext("2d");
  for (let j = 0; j < features; j++) {
    const row = Array.from({ length: steps }, (_, t) => sequence[t * features + j]);
    const low = Math.min(...row);
    const range = Math.max(...row) - low || 1;
    row.forEach((value, t) => {
      const share = (value - low) / range;
      context.fillStyle = `hsl(${share < 0.5 ? 208 : 24} 70% ${88 - 80 * Math.abs(share - 0.5)}%)`;
      context.fillRect(t, j, 1, 1);
    });
  }
}
