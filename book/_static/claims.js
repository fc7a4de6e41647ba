// The scorecard's choosers: which claims are shown, and in which order within their question.
document.addEventListener("DOMContentLoaded", () => {
  for (const form of document.querySelectorAll(".claim-filters")) {
    const groups = [...document.querySelectorAll("section.question")];
    const verdicts = [...form.querySelector('[data-by="verdict"]').options].map((option) => option.value);
    const rank = { verdict: (row) => verdicts.indexOf(row.dataset.verdict), q: (row) => parseFloat(row.dataset.q || "2") };
    groups.forEach((group) => group.querySelectorAll("tbody tr").forEach((row, i) => { row.dataset.listed = i; }));

    const apply = () => {
      const chosen = Object.fromEntries([...form.querySelectorAll("select")].map((select) => [select.dataset.by, select.value]));
      const order = rank[chosen.order] || ((row) => Number(row.dataset.listed));
      let shown = 0;
      for (const group of groups) {
        const rows = [...group.querySelectorAll("tbody tr")], narrowed = chosen.verdict || chosen.network;
        group.querySelectorAll("details").forEach((more) => { more.open = Boolean(narrowed); });
        let here = 0;
        for (const row of rows.sort((a, b) => order(a) - order(b) || a.dataset.listed - b.dataset.listed)) {
          row.parentElement.append(row);
          row.hidden = ["verdict", "network"].some((by) => chosen[by] && row.dataset[by] !== chosen[by]);
          here += !row.hidden && !row.closest("details:not([open])");
        }
        group.hidden = (chosen.chapter && group.dataset.chapter !== chosen.chapter) || (narrowed && !here);
        shown += group.hidden ? 0 : here;
      }
      document.querySelectorAll("h2[data-chapter]").forEach((head) => {
        head.hidden = !groups.some((group) => !group.hidden && group.dataset.chapter === head.dataset.chapter);
      });
      form.querySelector("output").textContent = `${shown} claims shown`;
    };
    form.hidden = false;
    form.addEventListener("change", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    apply();
  }
});
