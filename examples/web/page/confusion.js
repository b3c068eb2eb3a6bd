// A confusion matrix, as a table: a row for each class, and in it how often each answer was given.

export function showConfusion(root, truths, answers, classes) {
  const counts = Array.from({ length: classes }, () => new Array(classes).fill(0));
  truths.forEach((truth, i) => counts[truth][answers[i]]++);
  const table = document.createElement("table");
  table.createCaption().textContent = "Rows: who spoke. Columns: the answer.";
  const head = table.createTHead().insertRow();
  head.append(heading("", "col"), ...counts.map((_, i) => heading(i + 1, "col")));
  const body = table.createTBody();
  counts.forEach((row, truth) => {
    const line = body.insertRow();
    line.append(heading(truth + 1, "row"));
    const sum = row.reduce((total, count) => total + count, 0);
    row.forEach((count, answer) => {
      const cell = line.insertCell();
      cell.textContent = count || "";
      cell.style.setProperty("--share", count / sum);
      cell.classList.toggle("strong", count / sum > 0.5);
      cell.classList.toggle("wrong", count > 0 && answer !== truth && count / sum <= 0.5);
    });
  });
  root.replaceChildren(table);
}

function heading(text, scope) {
  const cell = document.createElement("th");
  cell.scope = scope;
  cell.textContent = text;
  return cell;
}
