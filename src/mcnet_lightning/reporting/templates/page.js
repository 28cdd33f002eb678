"use strict";
(function () {
  const byId = (id) => document.getElementById(id);

  function compare(a, b) {
    const x = parseFloat(a), y = parseFloat(b);
    if (a === "" || b === "") return (a === "") - (b === "");
    const numbers = a.trim() !== "" && b.trim() !== "" && !isNaN(Number(a)) && !isNaN(Number(b));
    return numbers ? x - y : a.localeCompare(b);
  }

  function sortBy(table, index) {
    const heading = table.tHead.rows[0].cells[index];
    const up = heading.getAttribute("aria-sort") !== "ascending";
    for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = (row) => row.cells[index].dataset.value;
    const rows = Array.from(table.tBodies[0].rows);
    rows.sort((a, b) => (up ? 1 : -1) * compare(value(a), value(b)));
    table.tBodies[0].append(...rows);
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    Array.from(table.tHead.rows[0].cells).forEach((cell, index) => {
      cell.addEventListener("click", () => sortBy(table, index));
      cell.addEventListener("keydown", (event) => { if (event.key === "Enter") sortBy(table, index); });
    });
  }

  const filter = byId("filter");
  if (filter) {
    const rows = Array.from(byId("run-table").tBodies[0].rows);
    const apply = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const text = (row.textContent + " " + row.dataset.words).toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        shown += !row.hidden;
      }
      byId("count").textContent = shown + " of " + rows.length + " rows.";
    };
    filter.addEventListener("input", apply);
    apply();
  }

  function bytesOfBase85(text) {  // as Python's b85encode writes it, with ' in place of <
    const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;'=>?@^_`{|}~";
    const digit = new Uint8Array(128);
    for (let i = 0; i < letters.length; i++) digit[letters.charCodeAt(i)] = i;
    const missing = (5 - (text.length % 5)) % 5;
    text += "~".repeat(missing);
    const view = new DataView(new ArrayBuffer((text.length / 5) * 4));
    for (let i = 0; i < text.length; i += 5) {
      let value = 0;
      for (let j = i; j < i + 5; j++) value = value * 85 + digit[text.charCodeAt(j)];
      view.setUint32((i / 5) * 4, value);
    }
    return new Uint8Array(view.buffer, 0, view.byteLength - missing);
  }

  async function draw() {
    const packed = new Blob([bytesOfBase85(byId("plotly").textContent)]).stream();
    const script = document.createElement("script");
    script.textContent = await new Response(packed.pipeThrough(new DecompressionStream("deflate"))).text();
    document.head.append(script);
    const plots = JSON.parse(byId("plots").textContent);
    for (const [name, figure] of Object.entries(plots)) {
      await Plotly.newPlot(name, figure.data, figure.layout, { displaylogo: false, responsive: true });
    }
  }
  if (byId("plotly")) draw();

  const data = byId("sliders");
  if (data) {
    const items = JSON.parse(data.textContent);
    const current = () => items[byId("image").selectedIndex];

    function place() {
      const share = byId("slider").value;
      byId("before-picture").style.clipPath = "inset(0 " + (100 - share) + "% 0 0)";
      byId("divider").style.left = share + "%";
    }
    function show() {
      for (const side of ["before", "after"]) {
        const kind = byId(side).value;
        byId(side + "-picture").src = current().pictures[kind];
        byId(side + "-caption").textContent = current().captions[kind];
      }
    }
    function choose() {
      for (const side of ["before", "after"]) {
        byId(side).replaceChildren(...Object.keys(current().pictures).map((kind) => new Option(kind, kind)));
        byId(side).value = current()[side];
      }
      show();
    }
    function drag(event) {
      if (event.type === "pointermove" && !event.buttons) return;
      const box = byId("stage").getBoundingClientRect();
      byId("slider").value = Math.max(0, Math.min(100, (100 * (event.clientX - box.left)) / box.width));
      place();
    }
    byId("image").addEventListener("change", choose);
    byId("before").addEventListener("change", show);
    byId("after").addEventListener("change", show);
    byId("slider").addEventListener("input", place);
    byId("stage").addEventListener("pointerdown", drag);
    byId("stage").addEventListener("pointermove", drag);
    choose();
    place();
  }
})();
