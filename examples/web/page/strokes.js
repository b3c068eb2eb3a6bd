// Strokes as a model reads them: points at equal distances, each with its place and direction.

export const FEATURES = 4;

const SPACING = 0.12; // between points, as a share of the stroke's larger side
const FEWEST = 4;
const MOST = 64;
const TURN = 0.2; // radians
const STRETCH = 0.15;

// Returns the least and the greatest number on each axis.
function bounds(points) {
  return [0, 1].map((axis) => points.map((point) => point[axis])).map((n) => [Math.min(...n), Math.max(...n)]);
}

// Returns the length of the larger side of a stroke.
export function sideOf(points) {
  return Math.max(...bounds(points).map(([low, high]) => high - low));
}

// Returns a stroke around the origin, its larger side from -1 to 1.
export function normalized(points) {
  const middle = bounds(points).map(([low, high]) => (low + high) / 2);
  const half = sideOf(points) / 2 || 1;
  return points.map(([x, y]) => [(x - middle[0]) / half, (y - middle[1]) / half]);
}

// Returns the stroke a little turned and stretched, as if it were drawn again.
export function varied(points, random) {
  const within = (range) => range * (2 * random() - 1);
  const angle = within(TURN);
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const [wide, high] = [1 + within(STRETCH), 1 + within(STRETCH)];
  return points.map(([x, y]) => [wide * (cos * x - sin * y), high * (sin * x + cos * y)]);
}

// Returns the numbers (T, 4) of a stroke; the longer its way, the more points.
export function features(points) {
  const places = spaced(normalized(points));
  const rows = places.map(([x, y], t) => {
    const [before, after] = [places[Math.max(t - 1, 0)], places[Math.min(t + 1, places.length - 1)]];
    const [dx, dy] = [after[0] - before[0], after[1] - before[1]];
    const length = Math.hypot(dx, dy) || 1;
    return [x, y, dx / length, dy / length];
  });
  return Float32Array.from(rows.flat());
}

// Returns points at equal distances along a line.
function spaced(points) {
  const ways = [0];
  for (let i = 1; i < points.length; i++) ways.push(ways[i - 1] + distance(points[i - 1], points[i]));
  const whole = ways.at(-1);
  const count = Math.min(MOST, Math.max(FEWEST, Math.round(whole / (2 * SPACING)) + 1));
  let i = 1;
  return Array.from({ length: count }, (_, k) => {
    const way = (whole * k) / (count - 1);
    while (i < points.length - 1 && ways[i] < way) i++;
    const share = (way - ways[i - 1]) / (ways[i] - ways[i - 1] || 1);
    return [0, 1].map((axis) => points[i - 1][axis] + share * (points[i][axis] - points[i - 1][axis]));
  });
}

function distance([x, y], [otherX, otherY]) {
  return Math.hypot(x - otherX, y - otherY);
}
