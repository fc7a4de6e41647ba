// The pages of a site in one: each article in the order of the contents, ids and links made its own, scripts run again.
async () => {
  const root = new URL(".", location.href).href, parser = new DOMParser();
  const clean = (href, from) => { const url = new URL(href, from); url.hash = ""; return url.href; };
  const listed = [...document.querySelectorAll("nav.bd-links a.reference.internal")].map((link) => clean(link.getAttribute("href"), location.href));
  const pages = [...new Set([clean("", location.href), ...listed])].filter((page) => page.startsWith(root));
  const name = (page) => page.slice(root.length).replace(/\.html$/, "").replace(/\W/g, "-");
  const book = document.createElement("main"), contents = document.createElement("ol");
  book.className = "bd-content";
  contents.className = "print-contents";

  for (const page of pages) {
    const article = parser.parseFromString(await (await fetch(page)).text(), "text/html").querySelector("article.bd-article");
    article.querySelectorAll(".headerlink, .claim-filters, details.hide, .toctree-wrapper, .copybtn, iframe, script[src]").forEach((gone) => gone.remove());
    article.querySelectorAll("details").forEach((more) => { more.open = true; });
    for (const made of article.querySelectorAll("[src]")) made.setAttribute("src", new URL(made.getAttribute("src"), page).href);
    for (const made of article.querySelectorAll("[id]:not(.plotly-graph-div)")) made.id = `${name(page)}--${made.id}`;
    for (const link of article.querySelectorAll("a[href]")) {
      const to = new URL(link.getAttribute("href"), page);
      if (pages.includes(clean(to, page))) link.setAttribute("href", `#${name(clean(to, page))}${to.hash ? "--" : ""}${decodeURIComponent(to.hash.slice(1))}`);
      else if (to.href.startsWith(root)) link.removeAttribute("href");  // a file of the site: it is not in a PDF
    }
    article.id = name(page);
    article.classList.add("print-page");
    book.append(document.adoptNode(article));
    const title = article.querySelector("h1"), entry = contents.appendChild(document.createElement("li")).appendChild(document.createElement("a"));
    entry.textContent = title ? title.textContent : name(page);
    entry.href = `#${name(page)}`;
  }
  book.firstElementChild.after(contents);
  document.body.replaceChildren(book);
  Object.assign(document.documentElement.dataset, { theme: "light", mode: "light" });

  const load = (src) => new Promise((done, failed) => {
    document.head.append(Object.assign(document.createElement("script"), { src, onload: done, onerror: failed }));
  });
  if (book.querySelector(".plotly-graph-div") && !window.Plotly) await load(`${root}_static/plotly.min.js`);
  for (const script of book.querySelectorAll("script:not([type]), script[type='text/javascript']")) {
    script.replaceWith(Object.assign(document.createElement("script"), { textContent: script.textContent }));
  }
  if (book.querySelector(".math")) {
    if (!window.MathJax?.startup) {
      window.MathJax = { options: { processHtmlClass: "tex2jax_process|mathjax_process|math|output_area" } };
      await load(`${root}_static/mathjax/tex-mml-chtml.js`);
    }
    await MathJax.startup.promise;
    await MathJax.typesetPromise([book]);
  }
  await Promise.all([...document.images].map((image) => { image.loading = "eager"; return image.decode().catch(() => {}); }));
  await document.fonts.ready;
}
