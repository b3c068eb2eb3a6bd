// What scores say.

export function best(scores) {
  return scores.indexOf(Math.max(...scores));
}

export function shares(scores) {
  const most = Math.max(...scores);
  const powers = Array.from(scores, (score) => Math.exp(score - most));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}
