"""Make the site stand on its own: formulas and plots are served from it, no page asks another host for anything."""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

THEBE = "thebe"  # Jupyter Book writes its constants twice into every page: an error in every console
ROLES = re.compile(r' role="(?:list|doc-biblioentry)"')  # docutils' bibliography, refused by accessibility checks


def setup(app):
    app.connect("build-finished", copy_assets)
    app.connect("html-page-context", adapt_page, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def copy_assets(app, exception):
    """Put MathJax with its fonts, and plotly, into `_static`: both come out of installed Python packages.

    The theme's own templates, which end up there as broken pages, are taken away.
    """
    if exception is not None or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    source = package("sphinx-mathjax-offline") / "static/mathjax"
    fonts = "output/chtml/fonts"
    shutil.copytree(source / fonts, static / "mathjax" / fonts, dirs_exist_ok=True)
    shutil.copy(source / "tex-mml-chtml.js", static / "mathjax")
    shutil.copy(package("plotly") / "package_data/plotly.min.js", static)
    for template in static.glob("*webpack-macros.html"):
        template.unlink()


def package(name):
    """The folder of an installed package, not imported."""
    return Path(find_spec(name).submodule_search_locations[0])


def adapt_page(app, pagename, templatename, context, doctree):
    """Load plotly only where a page shows a plot; drop thebe, and roles that screen readers misread."""
    body = context.get("body") or ""
    if "plotly-graph-div" in body:
        app.add_js_file("plotly.min.js")
    for kind in ("script_files", "css_files"):
        context[kind] = [entry for entry in context.get(kind, ()) if not loads_thebe(entry)]
    context["body"] = ROLES.sub("", body)


def loads_thebe(entry):
    return THEBE in str(getattr(entry, "filename", "")) or THEBE in str(
        getattr(entry, "attributes", {}).get("body", "")
    )
