// Plotly figures take their colours from the page, and again when its mode changes.
window.addEventListener("load", () => {
  const recolour = () => {
    if (!window.Plotly) return;
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue("--pst-color-text-base").trim() || "#222";
    const line = style.getPropertyValue("--pst-color-border").trim() || "#ccc";
    const clear = "rgba(0,0,0,0)";
    for (const plot of document.querySelectorAll(".plotly-graph-div")) {
      const axes = Object.keys(plot.layout || {}).filter((name) => /^[xy]axis\d*$/.test(name));
      window.Plotly.relayout(plot, {
        paper_bgcolor: clear, plot_bgcolor: clear, "font.color": ink,
        ...Object.fromEntries(axes.map((name) => [`${name}.gridcolor`, line])),
      });
    }
  };
  recolour();
  new MutationObserver(recolour).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
});
