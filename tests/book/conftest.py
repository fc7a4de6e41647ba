"""One browser for all tests of pages."""

import os

import pdf
import pytest


@pytest.fixture(scope="session")
def chromium():
    try:
        with pdf.browser() as browser:
            yield browser
    except FileNotFoundError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
