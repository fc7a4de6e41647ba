"""A browser for each module of tests of pages."""

import os

import pdf
import pytest


@pytest.fixture(scope="module")  # not longer: Playwright keeps an event loop running, which notebooks mind
def chromium():
    try:
        with pdf.browser() as browser:
            yield browser
    except SystemExit as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
