// The scorecard's buttons: show the claims of one verdict, or all again on a second press.
document.addEventListener("DOMContentLoaded", () => {
  for (const group of document.querySelectorAll(".claim-filters")) {
    const rows = group.parentElement.querySelectorAll("tr[data-verdict]");
    const buttons = [...group.querySelectorAll("button")];
    group.hidden = false;
    group.addEventListener("click", (event) => {
      const pressed = event.target.closest("button");
      if (!pressed) return;
      const keep = pressed.getAttribute("aria-pressed") === "true" ? null : pressed.dataset.keep;
      buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.keep === keep)));
      rows.forEach((row) => { row.hidden = keep !== null && row.dataset.verdict !== keep; });
    });
  }
});
