"use strict";
// Tables that sort and filter, and pictures that become interactive on demand.

const STEP = 50; // rows shown at first; a click adds four times as many

function shown(value) {
  if (value === null) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const rounded = Number(value.toPrecision(4));
  return Math.abs(rounded) < 1e-3 || Math.abs(rounded) >= 1e7 ? rounded.toExponential() : String(rounded);
}

// Words must occur in a row; name=value, name<value, name>=value … must hold in that column.
function condition(word, names) {
  const parts = /^(\w+)(<=|>=|!=|=|<|>)(.+)$/.exec(word);
  const column = parts ? names.indexOf(parts[1]) : -1;
  if (column < 0) return (row) => row.some((cell) => cell !== null && String(cell).toLowerCase().includes(word));
  const operand = parts[3], number = Number(operand);
  const equal = (cell) => (typeof cell === "number" ? cell === number : String(cell).toLowerCase() === operand);
  const tests = {
    "=": equal,
    "!=": (cell) => !equal(cell),
    "<": (cell) => cell < number,
    ">": (cell) => cell > number,
    "<=": (cell) => cell <= number,
    ">=": (cell) => cell >= number,
  };
  return (row) => row[column] !== null && tests[parts[2]](row[column]);
}

function trials(box) {
  const { columns, rows, sorted, best } = JSON.parse(box.querySelector("script.rows").textContent);
  const names = columns.map((column) => column.name);
  const head = box.querySelector("thead"), body = box.querySelector("tbody");
  const filter = box.querySelector("input"), count = box.querySelector(".count"), more = box.querySelector(".more");
  let by = names.indexOf(sorted), down = columns[by].descending, limit = STEP;

  // A phone shows rows as blocks, which a screen reader recognises as a table only by their roles.
  const role = (element, name) => { element.role = name; return element; };
  role(head, "rowgroup"), role(body, "rowgroup");
  const line = role(head.insertRow(), "row");
  columns.forEach((column, index) => {
    const cell = role(document.createElement("th"), "columnheader"), button = document.createElement("button");
    cell.scope = "col";
    if (!column.numeric) cell.className = "text";
    button.type = "button";
    // Long names break after their underscores.
    column.name.split(/(?<=_)/).forEach((part, at) => button.append(...(at ? [document.createElement("wbr")] : []), part));
    button.addEventListener("click", () => {
      down = by === index ? !down : column.descending;
      by = index;
      draw();
    });
    cell.append(button);
    line.append(cell);
  });

  // The end of each row on a phone.
  function details() {
    const cell = role(document.createElement("td"), "cell"), button = document.createElement("button");
    cell.className = "details";
    button.type = "button";
    button.ariaLabel = "all values";
    button.ariaExpanded = "false";
    cell.append(button);
    return cell;
  }

  body.addEventListener("click", (event) => {
    const line = event.target.closest("tr");
    line.querySelector(".details button").ariaExpanded = String(line.classList.toggle("open"));
  });

  function compare(a, b) {
    const x = a[by], y = b[by];
    if (x === null || y === null) return (x === null) - (y === null); // missing values come last in either direction
    const order = typeof x === "number" ? x - y : String(x).localeCompare(String(y));
    return down ? -order : order;
  }

  function draw() {
    const tests = filter.value.toLowerCase().split(/\s+/).filter(Boolean).map((word) => condition(word, names));
    const found = rows.filter((row) => tests.every((test) => test(row))).sort(compare);
    body.replaceChildren(...found.slice(0, limit).map((row) => {
      const line = role(document.createElement("tr"), "row");
      if (row[0] === best) line.className = "best";
      row.forEach((value, index) => {
        const cell = role(document.createElement(index ? "td" : "th"), index ? "cell" : "rowheader");
        if (!index) cell.scope = "row";
        cell.classList.toggle("text", !columns[index].numeric);
        cell.classList.toggle("detail", columns[index].detail);
        cell.dataset.name = columns[index].short;
        cell.textContent = shown(value);
        line.append(cell);
      });
      line.append(details());
      return line;
    }));
    [...line.cells].forEach((cell, index) => {
      if (index === by) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
    const all = found.length === rows.length ? "" : `, of ${shown(rows.length)}`;
    count.textContent = `${shown(Math.min(limit, found.length))} of ${shown(found.length)} trials shown${all}`;
    more.hidden = found.length <= limit;
  }

  filter.addEventListener("input", () => { limit = STEP; draw(); });
  more.addEventListener("click", () => { limit += 4 * STEP; draw(); });
  draw();
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  return { ink: style.getPropertyValue("--ink").trim(), line: style.getPropertyValue("--line").trim() };
}

function themed(figure) {
  const { ink, line } = colours(), layout = { ...figure.layout, font: { color: ink, size: 12 }, autosize: true };
  for (const axis of Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))) {
    layout[axis] = { ...layout[axis], gridcolor: line, zerolinecolor: line, exponentformat: "e" };
  }
  return layout;
}

function interactive(figure) {
  const button = figure.querySelector(".toggle");
  if (!button) return;
  const place = figure.querySelector(".interactive"), still = figure.querySelector(".static");
  const content = JSON.parse(figure.querySelector("script.plotly").textContent);
  const draw = () => Plotly.react(place, content.data, themed(content), { responsive: true, displaylogo: false });
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    place.hidden = !on;
    still.hidden = on;
    if (on) draw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (!place.hidden) draw(); });
}

document.querySelectorAll(".trials").forEach(trials);
document.querySelectorAll("figure").forEach(interactive);
